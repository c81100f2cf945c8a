"""Text: one reader of product reviews, two questions - is it praise, and of what?

The script writes the reviews itself, from templates with a fixed seed. Some words are
praise in one domain and a complaint in another ("small" phones, "small" portions), some
are turned round by "not", and some reviews are mislabelled, so no model reaches 1.0.
Trains one multi-task model on the strings and, for comparison, one model a task; prints
the test results, draws the learning curves, saves, loads and exports the model for
TensorFlow Serving and asks the exported model about two new reviews.

    python examples/reviews.py
    python examples/reviews.py --csv my.csv --text body --labels topic urgency
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from _report import EXPORTS, OUTPUT, print_table, save_curves, serve

import kmtl

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--rows", type=int, default=6_000, help="reviews to write")
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--csv", type=Path, help="read this file instead")
parser.add_argument("--text", default="text", help="its column of text")
parser.add_argument("--labels", nargs="+", help="its columns to predict")
parser.add_argument("--output", type=Path, default=OUTPUT, help="picture and model")
parser.add_argument("--exports", type=Path, default=EXPORTS, help="exported models")
args = parser.parse_args()
if args.csv and not args.labels:
    parser.error("--csv needs --labels, the columns to predict")

# 1. The data: nouns tell the domain, adjectives the sentiment, some by domain only.
NOUNS = {
    "phones": ["phone", "battery", "screen", "camera", "charger", "speaker"],
    "films": ["film", "plot", "cast", "ending", "soundtrack", "director"],
    "food": ["meal", "sauce", "portion", "dessert", "waiter", "menu"],
    "hotels": ["room", "bed", "breakfast", "lobby", "shower", "view"],
}
PRAISE = ["great", "lovely", "excellent", "brilliant", "fine", "superb", "solid"]
COMPLAINT = ["poor", "awful", "dreadful", "weak", "sad", "terrible", "cheap"]
BY_DOMAIN = {  # praise, complaint
    "phones": (["small", "predictable", "light"], ["hot", "unpredictable", "heavy"]),
    "films": (["unpredictable", "heavy", "dark"], ["predictable", "light", "flat"]),
    "food": (["hot", "rich", "heavy"], ["cold", "small", "light"]),
    "hotels": (["quiet", "light", "cool"], ["hot", "small", "dark"]),
}
TEMPLATES = [
    "the {noun} is {word}",
    "what a {word} {noun}",
    "i found the {noun} {word}",
    "my friends say the {noun} was {word}",
]
TURNED = ["the {noun} is not {word}", "nobody would call the {noun} {word}"]


def sentence(domain, praised, rng):
    """Writes one sentence; one in five says the opposite of its adjective."""
    turned = rng.random() < 0.2
    praise, complaint = BY_DOMAIN[domain]
    words = praise + PRAISE if praised != turned else complaint + COMPLAINT
    template = rng.choice(TURNED if turned else TEMPLATES)
    return template.format(noun=rng.choice(NOUNS[domain]), word=rng.choice(words))


def write_reviews(count, rng):
    """Writes reviews of one to three sentences; 5 % get the wrong sentiment."""
    domains = rng.choice(list(NOUNS), size=count)
    praised = rng.random(count) < 0.5
    texts = [
        ", ".join(sentence(d, p, rng) for _ in range(rng.integers(1, 4)))
        for d, p in zip(domains, praised, strict=True)
    ]
    mislabelled = rng.random(count) < 0.05
    sentiment = np.where(praised != mislabelled, "praise", "complaint")
    return pd.DataFrame({"text": texts, "sentiment": sentiment, "domain": domains})


rng = np.random.default_rng(args.seed)
if args.csv:
    frame = pd.read_csv(args.csv)[[args.text, *args.labels]]
    tasks = [
        kmtl.MulticlassTask(name, classes=sorted(frame[name].dropna().unique()))
        for name in args.labels
    ]
else:
    frame = write_reviews(args.rows, rng)
    tasks = [
        kmtl.BinaryTask(
            "sentiment", classes=["complaint", "praise"], metrics=["accuracy"]
        ),
        kmtl.MulticlassTask("domain", classes=list(NOUNS)),
    ]
part = rng.choice(3, size=len(frame), p=[0.8, 0.1, 0.1])
train, valid, test = (frame[part == i] for i in range(3))
metrics = {task.name: "accuracy" for task in tasks}
print(
    f"{len(train):,} texts to train, {len(valid):,} to validate, {len(test):,} to test"
)
print(train.head(3).to_string(index=False))


# 2. Training: a list with one task gives a single-task model of the same form. A column
# of long texts is found to be text by itself; naming it so covers short ones too.
features = kmtl.TabularFeatures.from_frame(train[[args.text]], text=[args.text])


def fit(tasks):
    """Builds, trains and tests one model."""
    keras.utils.set_random_seed(args.seed)
    model = kmtl.build_mtl_model(
        features,
        tasks,
        trunk=kmtl.trunks.MLP([128, 64], dropout=0.1),
        head_units=(32,),
    )
    history = model.fit(
        train,
        validation_data=valid,
        batch_size=64,
        epochs=args.epochs,
        verbose=2,
    )
    result = model.evaluate(test, return_dict=True, verbose=0)
    return model, history.history, result


print("\nmulti-task model")
model, history, shared = fit(tasks)
alone = {}
for task in tasks:
    print(f"\nsingle-task model: {task.name}")
    alone |= fit([task])[2]

# 3. Does sharing pay?
print_table(
    "Test results",
    ["task", "metric", "multi-task", "single-task", "difference"],
    [
        [task, metric, shared[key], alone[key], shared[key] - alone[key]]
        for task, metric in metrics.items()
        for key in [f"{task}_{metric}"]
    ],
)
save_curves(history, metrics, args.output / "reviews.png")

# 4. Save and load: the vocabulary comes back with the weights.
path = args.output / "reviews.keras"
path.parent.mkdir(parents=True, exist_ok=True)
model.save(path)
loaded = keras.models.load_model(path)
print("\nNew reviews, as the loaded model reads them:")
new = pd.DataFrame(
    {args.text: ["the plot is unpredictable", "the charger is unpredictable"]}
)
print(new.join(loaded.predict_frame(new, verbose=0)).to_string(index=False))

# 5. Export: strings in, one output a task out.
version = kmtl.export_saved_model(loaded, args.exports / "reviews")
print(f"Exported to {version}; served from there:")
for name, output in serve(version, {args.text: new[args.text].to_list()}).items():
    print(f"  {name}: {np.round(output, 4).tolist()}")
