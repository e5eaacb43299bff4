#!/usr/bin/env bash
# Is everything up? Services, certificate, HTTPS and health, in a few seconds.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<HELP
Usage: scripts/quick-verify.sh [--env-file FILE] [BASE_URL]

Checks the services of this machine, and the certificate, HTTPS and health of the address. Changes nothing.
$settings_help
  MIN_DAYS       how long the certificate must be valid still (default 14)
HELP
}

# shellcheck disable=SC2317 # called at the end by lib.sh
clean_up() { :; }

app=insta-connect-demo

# unit_property UNIT PROPERTY
unit_property() {
  systemctl show --property="$2" --value "$1"
}

check_services() {
  if ! command -v systemctl >/dev/null || [ ! -d /run/systemd/system ]; then
    skip 'Services' 'there is no systemd here'
  elif [ -z "$(systemctl list-unit-files --no-legend "$app*" 2>/dev/null)" ]; then
    skip 'Services' "the units of $app are not installed on this machine"
  else
    check_unit 'Application' "$app.service"
    check_unit 'nginx' nginx.service
    check_postgresql
    check_unit 'Token refresh' "$app-token-refresh.timer"
    check_last_run "$app-token-refresh.service"
    check_unit 'Webhook processor' "$app-webhook-processor.timer"
    check_last_run "$app-webhook-processor.service"
    check_unit 'Maintenance' "$app-maintenance.timer"
    check_last_run "$app-maintenance.service"
  fi
}

check_unit() {
  local state enabled
  state=$(unit_property "$2" ActiveState)
  enabled=$(unit_property "$2" UnitFileState)
  if [ "$(unit_property "$2" LoadState)" != loaded ]; then
    fail "$1" "$2 is not installed"
  elif [ "$state" != active ]; then
    fail "$1" "$2 is $state"
  elif [ "$enabled" != enabled ]; then
    fail "$1" "$2 is active, but $enabled: it would not come back after a restart of the machine"
  else
    pass "$1" "$2 is active"
  fi
}

check_last_run() {
  local result
  result=$(unit_property "$1" Result)
  if [ "$result" != success ]; then
    fail 'Last run' "$1 ended with $result"
  else
    pass 'Last run' "$1 succeeded, or has not run yet"
  fi
}

# Debian's postgresql.service is active even when its clusters are down: those are the instances.
check_postgresql() {
  local clusters
  clusters=$(systemctl list-units --no-legend --plain --state=active 'postgresql@*.service' | cut -d ' ' -f 1 | tr '\n' ' ')
  if [ "$(unit_property postgresql.service LoadState)" != loaded ]; then
    skip 'PostgreSQL' 'it is not on this machine'
  elif [ -n "$clusters" ]; then
    pass 'PostgreSQL' "${clusters% } is active"
  else
    fail 'PostgreSQL' 'no cluster is active'
  fi
}

# With both the chain and the name checked, as a browser would.
check_certificate() {
  local verdict end days
  if [ "$scheme" != https ]; then
    skip 'Certificate' "$BASE_URL is not HTTPS"
    return
  fi
  timeout 20 openssl s_client -connect "$host:${port:-443}" -servername "$host" -verify_hostname "$host" \
    </dev/null >"$work/tls" 2>&1
  verdict=$(sed -n 's/.*Verify return code: //p' "$work/tls" | head -n 1)
  if ! openssl x509 -in "$work/tls" -out "$work/certificate" 2>/dev/null; then
    fail 'Certificate' "none came from $host:${port:-443}"
    return
  fi
  if [ "$verdict" = '0 (ok)' ]; then pass 'Certificate' "valid for $host"; else fail 'Certificate' "$verdict"; fi

  end=$(openssl x509 -in "$work/certificate" -noout -enddate | cut -d = -f 2)
  days=$((($(date -d "$end" +%s) - $(date +%s)) / 86400))
  if [ "$days" -ge "${MIN_DAYS:-14}" ]; then
    pass 'Certificate lasts' "$days days, until $end"
  else
    fail 'Certificate lasts' "$days days only, until $end: is certbot renewing it?"
  fi
}

check_https() {
  if [ "$scheme" != https ]; then
    skip 'HTTPS' "$BASE_URL is not HTTPS"
    return
  fi
  ask GET /
  case $status in
    200 | 302 | 303) pass 'HTTPS' "$status" ;;
    *) fail 'HTTPS' "expected a page, $(instead)" ;;
  esac
  check_hsts
  if [ -z "$port" ]; then check_redirect; fi
}

check_hsts() {
  local hsts age
  hsts=$(header Strict-Transport-Security)
  age=$(sed -n 's/.*max-age=\([0-9]*\).*/\1/p' <<<"$hsts")
  if [ "${age:-0}" -ge 31536000 ] && [ "$(grep -ci '^strict-transport-security:' "$work/headers")" = 1 ]; then
    pass 'HSTS' "$hsts"
  else
    fail 'HSTS' "expected one header with a year at least, got '$hsts'"
  fi
}

check_redirect() {
  local target
  target=$(curl --silent --max-time 20 --output /dev/null --write-out '%{http_code} %{redirect_url}' "http://$host/")
  if [ "$target" = "301 https://$host/" ]; then
    pass 'HTTP leads to HTTPS' 301
  else
    fail 'HTTP leads to HTTPS' "got $target"
  fi
}

check_health() {
  ask GET /health
  if [ "$status" = 200 ] && [ "$(json_value status)" = healthy ]; then
    pass 'Health' "healthy, up for $(($(json_value uptime | cut -d . -f 1) / 1000)) s, $(json_value environment)"
  else
    fail 'Health' "expected healthy, $(instead) $(json_value status)"
  fi
}

start "$@"
check_services
check_database_answers
check_certificate
check_https
check_health
finish
