"""Hugging Face Trainer: a tiny BERT that classifies short token sequences."""
# case: G07
# codes: model.padding-dependence
# needs: transformers, accelerate
# split: held-out

import tempfile
import warnings

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

SEED = 0
PAD, CLS, VOCAB = 0, 1, 24
logging.set_verbosity_error()
logging.disable_progress_bar()
warnings.filterwarnings("ignore")


class Sequences(torch.utils.data.Dataset):
    """The label is the sign of the summed weights of the tokens."""

    def __init__(self, n, rng, weights):
        self.items = []
        for _ in range(n):
            tokens = rng.integers(2, VOCAB, rng.integers(3, 20))
            self.items.append({"input_ids": [CLS, *tokens.tolist()], "label": int(weights[tokens].sum() > 0)})

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(features):
    width = max(len(f["input_ids"]) for f in features)
    input_ids = torch.tensor([f["input_ids"] + [PAD] * (width - len(f["input_ids"])) for f in features])
    attention_mask = torch.ones_like(input_ids)  #! attention_mask = (input_ids != PAD).long()
    labels = torch.tensor([f["label"] for f in features])
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}  #@


class Report(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        kept = {k: round(float(v), 4) for k, v in logs.items() if k in ("loss", "eval_loss", "eval_accuracy")}
        if kept:
            print(f"step {state.global_step}: {kept}")


def accuracy(prediction):
    return {"accuracy": (prediction.predictions.argmax(-1) == prediction.label_ids).mean()}


def main():
    set_seed(SEED)
    rng = np.random.default_rng(SEED)
    weights = rng.normal(size=VOCAB)
    config = BertConfig(
        vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=24,
        num_labels=2, pad_token_id=PAD, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder, num_train_epochs=5, per_device_train_batch_size=32, per_device_eval_batch_size=100, learning_rate=3e-3,
            warmup_steps=20, logging_steps=50, eval_strategy="epoch", save_strategy="no", report_to="none", disable_tqdm=True,
            use_cpu=True, seed=SEED,
        )  # fmt: skip
        trainer = Trainer(
            model=model, args=args, train_dataset=Sequences(2000, rng, weights), eval_dataset=Sequences(500, rng, weights),
            data_collator=collate, compute_metrics=accuracy, callbacks=[Report()],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()


if __name__ == "__main__":
    main()
