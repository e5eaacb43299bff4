#!/usr/bin/env bash
# Sends a signed webhook as Meta would, and follows it until it is processed.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<HELP
Usage: scripts/test-webhooks.sh [--env-file FILE] [BASE_URL]

Checks the way of a webhook with an event for an account that does not exist, which is deleted again.
$settings_help
  APP_SECRET     signs the event (the first, if it is a list); without it no event is sent
  WAIT_SECONDS   how long processing may take (default 75)
HELP
}

processor=insta-connect-demo-webhook-processor
# Instagram's own ids are shorter: it is nobody's.
entry_id="999$(openssl rand -hex 9 | tr a-f 0-5)"
is_sent=no

# Takes the event out of the hourly counts as well, so that the statistics stay true.
clean_up() {
  if [ "$is_sent" = maybe ] && is_refused; then is_sent=no; fi
  if [ "$is_sent" = no ]; then return; fi
  is_sent=no
  if [ -n "$database_problem" ]; then
    skip 'Clean-up' "the event of account $entry_id may stay: $database_problem"
  elif sql "
    BEGIN;
    WITH gone AS (
      DELETE FROM webhook_events WHERE entry_id = :'entry' AND instagram_account_id IS NULL
      RETURNING event_type, status, received_at
    )
    UPDATE webhook_event_stats stats
    SET processed = stats.processed - counted.processed, dead_letter = stats.dead_letter - counted.dead_letter
    FROM (
      SELECT date_trunc('hour', received_at) AS hour, event_type,
             count(*) FILTER (WHERE status = 'processed') AS processed,
             count(*) FILTER (WHERE status = 'dead_letter') AS dead_letter
      FROM gone
      GROUP BY 1, 2
    ) counted
    WHERE stats.user_id IS NULL AND stats.instagram_account_id IS NULL
      AND stats.hour = counted.hour AND stats.event_type = counted.event_type;
    DELETE FROM webhook_deliveries
    WHERE body_sha256 = decode(:'digest', 'hex') AND received_at > now() - interval '1 day';
    COMMIT" "entry=$entry_id" "digest=$(openssl dgst -sha256 -r "$work/event" | cut -d ' ' -f 1)"; then
    pass 'Clean-up' 'event and delivery are deleted'
  else
    fail 'Clean-up' "the event of account $entry_id stays: $(sql_problem)"
  fi
}

# HMAC-SHA256 of standard input in hex. openssl takes the key of an HMAC only as an argument, which ps shows to
# everybody; so this builds the HMAC from plain digests (RFC 2104), and the key never leaves the shell.
hmac_sha256() {
  local key inner='' outer='' byte at
  key=$(printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n')
  if [ ${#key} -gt 128 ]; then key=$(printf '%s' "$1" | openssl dgst -sha256 -r | cut -d ' ' -f 1); fi
  while [ ${#key} -lt 128 ]; do key+=00; done
  for ((at = 0; at < 128; at += 2)); do
    byte=$((16#${key:at:2}))
    printf -v inner '%s\\x%02x' "$inner" $((byte ^ 0x36))
    printf -v outer '%s\\x%02x' "$outer" $((byte ^ 0x5c))
  done
  { printf '%b' "$inner" && cat; } | openssl dgst -sha256 -binary |
    { printf '%b' "$outer" && cat; } | openssl dgst -sha256 -r | cut -d ' ' -f 1
}

# A comment on a media of the made-up account.
write_event() {
  printf '{"object":"instagram","entry":[{"id":"%s","time":%s,"changes":[{"field":"comments","value":{"id":"%s","text":"A check by test-webhooks.sh","from":{"id":"%s","username":"check"},"media":{"id":"%s"}}}]}]}' \
    "$entry_id" "$(date +%s)" "${entry_id}1" "${entry_id}2" "${entry_id}3" >"$work/event"
}

post_event() {
  ask POST /webhook --header 'Content-Type: application/json' --header "X-Hub-Signature-256: sha256=$1" \
    --data-binary "@$work/event"
}

stored_events() {
  sql "SELECT count(*) FROM webhook_events WHERE entry_id = :'entry' AND instagram_account_id IS NULL" "entry=$entry_id"
}

check_processor() {
  local state
  if ! command -v systemctl >/dev/null || [ ! -d /run/systemd/system ]; then
    skip 'Processor unit' 'there is no systemd here'
    return
  fi
  state=$(systemctl show --property=LoadState --value "$processor.timer")
  if [ "$state" != loaded ]; then
    skip 'Processor unit' 'it is not installed on this machine'
  elif systemctl is-active --quiet "$processor.timer"; then
    pass 'Processor unit' "$processor.timer is active"
  else
    fail 'Processor unit' "$processor.timer is $(systemctl is-active "$processor.timer")"
  fi
}

check_table() {
  if [ -n "$database_problem" ]; then
    skip 'Event table' "$database_problem"
  elif [ "$(sql "SELECT to_regclass('webhook_events') IS NOT NULL")" = t ]; then
    pass 'Event table' 'webhook_events exists'
  else
    fail 'Event table' "webhook_events is missing $(sql_problem)"
    database_problem='it has no webhook_events'
  fi
}

check_bare_get() {
  ask GET /webhook
  if [ "$status" = 403 ]; then pass 'Bare GET' 'refused with 403'; else fail 'Bare GET' "expected 403, $(instead)"; fi
}

# Before the good one, so that a row could only come from here.
check_bad_signature() {
  local stored=''
  is_sent=maybe
  post_event "$(openssl rand -hex 32)"
  if is_refused; then is_sent=no; else is_sent=yes; fi
  if [ "$status" != 401 ]; then
    fail 'Bad signature' "expected 401, $(instead)"
  elif [ -z "$database_problem" ] && stored=$(stored_events) && [ "$stored" != 0 ]; then
    is_sent=yes
    fail 'Bad signature' 'refused with 401, but stored'
  else
    pass 'Bad signature' "refused with 401${stored:+, nothing stored}"
  fi
}

check_signed_event() {
  local secret=${APP_SECRET-} stored
  secret=${secret%%,*}
  secret=${secret// /}
  if [ -z "$secret" ]; then
    skip 'Signed event' 'APP_SECRET is not set'
    skip 'Processing' 'no event was sent'
    skip 'Processing log' 'no event was sent'
    return
  fi
  is_sent=maybe
  post_event "$(hmac_sha256 "$secret" <"$work/event")"
  if [ "$status" = 401 ]; then
    fail 'Signed event' 'got 401: is APP_SECRET that of the running application?'
  elif [ "$status" != 200 ] || [ "$(cat "$work/body")" != EVENT_RECEIVED ]; then
    fail 'Signed event' "expected 200 EVENT_RECEIVED, $(instead)"
  elif [ -n "$database_problem" ]; then
    pass 'Signed event' '200 EVENT_RECEIVED'
  elif stored=$(stored_events) && [ "$stored" = 1 ]; then
    pass 'Signed event' '200 EVENT_RECEIVED, and its row is in webhook_events'
  else
    fail 'Signed event' "200, but ${stored:-no} rows in webhook_events $(sql_problem)"
  fi
  if is_refused; then
    is_sent=no
    skip 'Processing' 'the event was not taken'
    skip 'Processing log' 'the event was not taken'
    return
  fi
  is_sent=yes
  check_processing
}

check_processing() {
  local state='' deadline=$((SECONDS + ${WAIT_SECONDS:-75})) outcome
  if [ -n "$database_problem" ]; then
    skip 'Processing' "$database_problem"
    skip 'Processing log' "$database_problem"
    return
  fi
  while [ "$SECONDS" -lt "$deadline" ]; do
    state=$(sql "SELECT status, round(extract(epoch FROM processed_at - received_at)::numeric, 2), last_error
      FROM webhook_events WHERE entry_id = :'entry' AND instagram_account_id IS NULL" "entry=$entry_id")
    case $state in processed\|* | dead_letter\|*) break ;; esac
    sleep 0.5
  done
  case $state in
    processed\|*) pass 'Processing' "processed $(cut -d '|' -f 2 <<<"$state") s after it came" ;;
    *) fail 'Processing' "after ${WAIT_SECONDS:-75} s its status is ${state%%|*} ${state##*|}" ;;
  esac
  outcome=$(sql "SELECT 'attempt ' || log.attempt || ': ' || log.outcome || coalesce(', ' || log.error_message, '')
    FROM webhook_event_log log JOIN webhook_events event ON event.id = log.event_id
    WHERE event.entry_id = :'entry' AND event.instagram_account_id IS NULL ORDER BY log.id DESC LIMIT 1" "entry=$entry_id")
  if [ -n "$outcome" ]; then
    pass 'Processing log' "${outcome/%ignored/ignored, as nobody connected that account}"
  else
    fail 'Processing log' "no row in webhook_event_log $(sql_problem)"
  fi
}

# From the hourly counts: the events themselves may be millions.
check_statistics() {
  local figures
  if [ -n "$database_problem" ]; then
    skip 'Statistics' "$database_problem"
  elif figures=$(sql "
    SELECT coalesce(sum(processed), 0) || ' processed, ' || coalesce(sum(dead_letter), 0) || ' dead letters, ' ||
           (SELECT count(*) FROM webhook_events WHERE status IN ('pending', 'processing', 'failed')) || ' waiting'
    FROM webhook_event_stats"); then
    pass 'Statistics' "$figures"
  else
    fail 'Statistics' "$(sql_problem)"
  fi
}

start "$@"
write_event
check_processor
check_database_answers
check_table
check_bare_get
check_bad_signature
check_signed_event
check_statistics
clean_up
finish
