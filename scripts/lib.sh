# shellcheck shell=bash
# Shared by the check scripts, which source it. Each defines usage() and clean_up().

export LC_ALL=C
# The shell's own from here on: no program that is called inherits them.
export -n APP_SECRET DATABASE_URL DB_PASSWORD
passed=0
failed=0
skipped=0
if [ -t 1 ]; then
  green=$'\e[32m' red=$'\e[31m' yellow=$'\e[33m' bold=$'\e[1m' plain=$'\e[0m'
else
  green='' red='' yellow='' bold='' plain=''
fi

pass() {
  passed=$((passed + 1))
  printf '%spass%s  %s%s\n' "$green" "$plain" "$1" "${2:+: $2}"
}

fail() {
  failed=$((failed + 1))
  printf '%sFAIL%s  %s%s\n' "$red" "$plain" "$1" "${2:+: $2}"
}

skip() {
  skipped=$((skipped + 1))
  printf '%sskip%s  %s%s\n' "$yellow" "$plain" "$1" "${2:+: $2}"
}

# Ends the script: the counts, and exit code 1 when something failed.
finish() {
  printf '\n%s%d passed, %d failed, %d skipped%s\n' "$bold" "$passed" "$failed" "$skipped" "$plain"
  if [ -n "${database_problem-}" ]; then printf 'No look into the database: %s.\n' "$database_problem"; fi
  if [ "$failed" -gt 0 ]; then exit 1; fi
  exit 0
}

# --- Settings ----------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2034 # used by the scripts' usage()
settings_help='
Settings come from the environment; what is missing there is read from the environment file of the
installation (--env-file, by default /etc/insta-connect-demo/environment when it can be read):
  BASE_URL       address to check, also as the argument (default http://localhost:3000)
  DATABASE_URL   or DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD, DB_SSL: for the checks that look
                 into the database, with psql; without them they are skipped'

# Call it with the script's arguments.
start() {
  local env_file=/etc/insta-connect-demo/environment address=''
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help)
        usage
        exit 0
        ;;
      --env-file)
        env_file=${2-}
        if [ ! -r "$env_file" ]; then stop "cannot read the file '$env_file'"; fi
        shift
        ;;
      -*) stop "unknown option $1 (see --help)" ;;
      *) address=$1 ;;
    esac
    shift
  done
  if [ -r "$env_file" ]; then read_env_file "$env_file"; fi
  BASE_URL=${address:-${BASE_URL:-http://localhost:3000}}
  BASE_URL=${BASE_URL%/}
  if [[ ! $BASE_URL =~ ^(https?)://(\[[0-9a-fA-F:]+\]|[^/:]+)(:([0-9]+))?$ ]]; then stop "not an address: $BASE_URL"; fi
  # shellcheck disable=SC2034 # used by quick-verify.sh
  scheme=${BASH_REMATCH[1]} host=${BASH_REMATCH[2]} port=${BASH_REMATCH[4]}
  local tool
  for tool in curl openssl; do
    if ! command -v "$tool" >/dev/null; then stop "$tool is needed, and not installed"; fi
  done

  work=$(mktemp -d) || exit 2
  trap 'clean_up; rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  find_database
  printf '%s%s%s\n\n' "$bold" "$BASE_URL" "$plain"
}

stop() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 2
}

# Reads NAME=value lines as systemd does: nothing is executed, and what is already set stays.
read_env_file() {
  local name value
  while IFS='=' read -r name value || [ -n "$name" ]; do
    case $name in
      BASE_URL | DATABASE_URL | DB_HOST | DB_PORT | DB_NAME | DB_USER | DB_PASSWORD | DB_SSL | APP_SECRET) ;;
      *) continue ;;
    esac
    value=${value%$'\r'}
    if [[ $value =~ ^\"(.*)\"$ || $value =~ ^\'(.*)\'$ ]]; then value=${BASH_REMATCH[1]}; fi
    if [ -z "${!name-}" ]; then printf -v "$name" '%s' "$value"; fi
  done <"$1"
}

# --- Database ----------------------------------------------------------------------------------------------------------

# Leaves in database_problem why there is none to look into; empty when there is one.
find_database() {
  database_problem='' database_password=''
  if ! command -v psql >/dev/null; then
    database_problem='psql is not installed'
  elif [ -n "${DATABASE_URL-}" ]; then
    split_database_url
  elif [ -n "${DB_HOST-}" ]; then
    local ssl_mode=disable
    case ${DB_SSL-} in true) ssl_mode=require ;; verify) ssl_mode=verify-full ;; esac
    database_address="host='$DB_HOST' port='${DB_PORT:-5432}' dbname='${DB_NAME:-insta_connect_demo}' sslmode=$ssl_mode"
    if [ -n "${DB_USER-}" ]; then database_address+=" user='$DB_USER'"; fi
    database_password=${DB_PASSWORD-}
  else
    database_problem='DATABASE_URL is not set'
  fi
}

# Takes the password out of the address: arguments are for everybody on the machine to read.
split_database_url() {
  local rest=${DATABASE_URL#*://} authority user
  authority=${rest%%[/?]*}
  rest=${rest#"$authority"}
  if [[ $authority == *@* ]]; then
    user=${authority%@*}
    if [[ $user == *:* ]]; then
      database_password=${user#*:}
      database_password=${database_password//\\/\\\\}
      printf -v database_password '%b' "${database_password//%/\\x}"
    fi
    authority=${user%%:*}@${authority##*@}
  fi
  database_address=postgresql://$authority$rest
  if [[ $rest == *[?\&]password=* ]]; then database_problem='write the password in DATABASE_URL before the @'; fi
}

# sql QUERY [name=value…]: the rows, columns parted by "|". The values are :'name' in the query.
sql() {
  local query=$1 value
  local -a values=()
  shift
  for value; do values+=(-v "$value"); done
  PGPASSWORD=$database_password PGCONNECT_TIMEOUT=5 PGTZ=UTC PGOPTIONS='-c statement_timeout=10s' \
    psql -XqAtw -v ON_ERROR_STOP=1 ${values[@]+"${values[@]}"} "$database_address" <<<"$query" 2>"$work/psql"
}

# The last complaint of psql, on one line.
sql_problem() {
  tr '\n' ' ' <"$work/psql" | sed 's/ *$//'
}

check_database_answers() {
  if [ -n "$database_problem" ]; then
    skip 'Database answers' "$database_problem"
  elif sql 'SELECT 1' >/dev/null; then
    pass 'Database answers'
  else
    fail 'Database answers' "$(sql_problem)"
    database_problem='it does not answer'
  fi
}

# --- HTTP --------------------------------------------------------------------------------------------------------------

# ask METHOD PATH [curl's arguments…]: leaves $status, and in $work the files body and headers.
ask() {
  local method=$1 path=$2
  shift 2
  status=unknown
  : >"$work/body"
  : >"$work/headers"
  status=$(curl --silent --show-error --max-time 20 --request "$method" --output "$work/body" \
    --dump-header "$work/headers" --write-out '%{http_code}' "$@" "$BASE_URL$path" 2>"$work/curl")
  # Without a connection nothing was sent; after any other failure, who knows.
  case $? in 0) ;; 6 | 7) status=000 ;; *) status=unknown ;; esac
}

# Did the last request certainly change nothing? Waits for one that was cut off and may still be at work.
is_refused() {
  if [ "$status" = unknown ]; then sleep 2; fi
  [[ $status == 000 || $status == 4?? ]]
}

# What came instead of what was expected.
instead() {
  if [ "$status" = 000 ] || [ "$status" = unknown ]; then
    printf 'no answer (%s)' "$(tr '\n' ' ' <"$work/curl" | sed 's/ *$//')"
  elif [ "$status" = 429 ]; then
    printf '429: too many tries, come back in %s seconds' "$(header Retry-After)"
  else
    printf 'got %s' "$status"
  fi
}

header() {
  sed -n "s/^$1: *//Ip" "$work/headers" | tr -d '\r' | head -n 1
}

# A string or plain value of the JSON in the body.
json_value() {
  sed -n "s/.*\"$1\" *: *\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/body" | head -n 1
}
