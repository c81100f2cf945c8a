"""Asks a server about a DataFrame and compares with the model itself.

    python examples/serving/client.py                                # REST
    python examples/serving/client.py --url grpc://localhost:8500    # gRPC

gRPC needs `pip install 'kmtl[serving]'`. The model is loaded here only to compare: a
client needs an address and a name, and no file.
"""

import argparse
from pathlib import Path

from export import ROOT, read

import kmtl

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--url", default="http://localhost:8501")
parser.add_argument("--model", default="census")
parser.add_argument("--exports", type=Path, default=ROOT / "saved_models")
parser.add_argument("--rows", type=int, default=1000, help="rows to ask about")
args = parser.parse_args()

people = read("test", args.rows)
with kmtl.serving.Client(args.url, args.model) as client:
    served = client.predict(people, probabilities=True)
    ages = client.predict(people, task="age")  # the server computes this task only
print(served[["rich", "marital", "age"]].head().to_string())

model = kmtl.load(args.exports / args.model)
here = model.predict_frame(people, probabilities=True, verbose=0)
numbers = here.select_dtypes("number").columns
largest = (served[numbers] - here[numbers]).abs().max().max()
alone = (ages["age"] - here["age"]).abs().max()
print(f"\nLargest difference from the model: {largest:.0e}; age alone: {alone:.0e}")
print("Classes are the same:", served["marital"].equals(here["marital"]))
