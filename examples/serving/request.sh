#!/usr/bin/env bash
# Asks the server of serve.sh by curl: every kind of request that the REST API has.
#
#     examples/serving/request.sh [URL]       # http://localhost:8501 by default
set -euo pipefail

model=${1:-http://localhost:8501}/v1/models/census

if ! command -v curl >/dev/null; then
    echo "curl is missing: see https://curl.se/download.html" >&2
    exit 1
fi

# Sends what stands on standard input.
ask() {
    echo "== $2" >&2
    curl --silent --show-error --fail-with-body "$model:$1" --data-binary @-
    echo
}

echo "== Which versions are there?" >&2
curl --silent --show-error --fail-with-body "$model"
echo

# Rows: every column by name. A missing number is NaN, missing text an empty string.
ask predict "All tasks, rows" <<'JSON'
{
  "instances": [
    {
      "education": "Bachelors degree(BA AB BS)",
      "class_of_worker": "Private",
      "major_occupation_code": "Professional specialty",
      "sex": "Female",
      "weeks_worked_in_year": 52,
      "dividends_from_stocks": 500
    },
    {
      "education": "",
      "class_of_worker": "Never heard of",
      "major_occupation_code": "Not in universe",
      "sex": "Male",
      "weeks_worked_in_year": NaN,
      "dividends_from_stocks": 0
    }
  ]
}
JSON

# Columns: shorter for many rows. `labels` names the likeliest classes.
ask predict "Names of classes, columns" <<'JSON'
{
  "signature_name": "labels",
  "inputs": {
    "education": ["Bachelors degree(BA AB BS)", "Children"],
    "class_of_worker": ["Private", "Not in universe"],
    "major_occupation_code": ["Professional specialty", "Not in universe"],
    "sex": ["Female", "Male"],
    "weeks_worked_in_year": [52, 0],
    "dividends_from_stocks": [500, 0]
  }
}
JSON

ask predict "One task; the others are not computed" <<'JSON'
{
  "signature_name": "predict_age",
  "inputs": {
    "education": ["Children"],
    "class_of_worker": ["Not in universe"],
    "major_occupation_code": ["Not in universe"],
    "sex": ["Male"],
    "weeks_worked_in_year": [0],
    "dividends_from_stocks": [0]
  }
}
JSON

# Examples: a column may be left out, it is then missing. Numbers of a numeric column
# need a decimal point, as 52 would be sent as an integer.
ask classify "All classes of one task, examples" <<'JSON'
{
  "signature_name": "classify_marital",
  "examples": [
    {"education": "Children", "sex": "Male", "weeks_worked_in_year": 0.0},
    {"education": "Bachelors degree(BA AB BS)", "weeks_worked_in_year": 52.0}
  ]
}
JSON

ask regress "The number of one task, examples" <<'JSON'
{
  "signature_name": "regress_age",
  "examples": [{"education": "Children"}, {"weeks_worked_in_year": 52.0}]
}
JSON
