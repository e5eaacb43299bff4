#!/usr/bin/env bash
# Registers a person, logs in and out, and looks whether all of it is as it should be.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<HELP
Usage: scripts/test-auth-simple.sh [--env-file FILE] [BASE_URL]

Checks registration, log-in and log-out with a person made up for it, who is deleted again.
$settings_help
HELP
}

email="check-$(openssl rand -hex 8)@example.invalid"
password="Aa1-$(openssl rand -hex 16)"
is_registered=no

clean_up() {
  if [ "$is_registered" = maybe ] && is_refused; then is_registered=no; fi
  if [ "$is_registered" = no ]; then return; fi
  is_registered=no
  if [ -n "$database_problem" ]; then
    skip 'Clean-up' "$email may stay registered: $database_problem"
  elif sql "DELETE FROM users WHERE email_norm = :'email'" "email=$email"; then
    pass 'Clean-up' "$email is deleted"
  else
    fail 'Clean-up' "$email stays registered: $(sql_problem)"
  fi
}

# A visitor's first look: a cookie, and the token that forms need. Says with its exit code whether both came.
visit() {
  rm -f "$work/cookies"
  look
}

look() {
  ask GET /auth/status --header 'Accept: application/json' --cookie "$work/cookies" --cookie-jar "$work/cookies"
  csrf=$(json_value csrfToken)
  [ "$status" = 200 ] && [ -n "$csrf" ]
}

# By standard input: a password does not belong on a command line.
post_form() {
  ask POST "$1" --header 'Accept: text/html' --cookie "$work/cookies" --cookie-jar "$work/cookies" \
    --data @- <<<"_csrf=$csrf&email=$email&password=$2"
}

expect_status() {
  if [ "$status" = "$2" ]; then pass "$1" "$2${3:+, $3}"; else fail "$1" "expected $2, $(instead)"; fi
}

check_status() {
  if visit && [ "$(json_value authenticated)" = false ]; then
    pass 'Auth status' '200, not logged in, with a CSRF token'
  else
    fail 'Auth status' "expected authenticated false and a csrfToken, $(instead)"
  fi
}

check_registration() {
  is_registered=maybe
  post_form /auth/register "$password"
  expect_status 'Registration' 302 "to $(header Location)"
  if is_refused; then is_registered=no; else is_registered=yes; fi
  if look && [ "$(json_value authenticated)" = true ]; then
    pass 'Session after registration' "logged in as $(json_value email)"
  else
    fail 'Session after registration' 'not logged in'
  fi
}

check_user_row() {
  local found
  if [ -n "$database_problem" ]; then
    skip 'User in the database' "$database_problem"
  elif ! found=$(sql "SELECT password_hash LIKE '\$2b\$%' FROM users WHERE email_norm = :'email'" "email=$email"); then
    fail 'User in the database' "$(sql_problem)"
  elif [ "$found" = t ]; then
    pass 'User in the database' 'with a bcrypt hash'
  else
    fail 'User in the database' 'no such row'
  fi
}

check_login() {
  visit
  post_form /auth/login "$password"
  expect_status 'Login, right password' 302 "to $(header Location)"
  look
  post_form /auth/logout "$password"
  expect_status 'Logout' 302
  visit
  post_form /auth/login "not-$password"
  expect_status 'Login, wrong password' 401
}

check_duplicate() {
  visit
  post_form /auth/register "$password"
  expect_status 'Duplicate registration' 409
}

start "$@"
check_status
check_registration
check_user_row
check_login
check_duplicate
check_database_answers
clean_up
finish
