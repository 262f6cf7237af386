"""Hugging Face Trainer: a tiny GPT-2 learns a Markov chain of tokens."""
# case: L11
# codes: loss.label-shift
# needs: transformers, accelerate
# split: held-out

import tempfile
import warnings

import torch
from torch.utils.data import Dataset
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

SEED = 0
VOCAB, BLOCK = 16, 24
logging.set_verbosity_error()
logging.disable_progress_bar()
warnings.filterwarnings("ignore")


class MarkovBlocks(Dataset):
    def __init__(self, stream):
        n = (len(stream) - 1) // BLOCK
        self.rows = stream[: n * BLOCK + 1]

    def __len__(self):
        return (len(self.rows) - 1) // BLOCK

    def __getitem__(self, i):
        ids = self.rows[i * BLOCK : (i + 1) * BLOCK]
        labels = self.rows[i * BLOCK + 1 : (i + 1) * BLOCK + 1]  #! labels = ids.clone()
        return {"input_ids": ids, "labels": labels}  #@


class Printer(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        text = "  ".join(f"{k} {float(logs[k]):.4f}" for k in ("loss", "eval_loss") if k in logs)
        if text:
            print(f"step {state.global_step}  {text}")


set_seed(SEED)
transition = (2.5 * torch.randn(VOCAB, VOCAB)).softmax(-1)
stream = [0]
for u in torch.rand(24_000).tolist():
    stream.append(min(int((transition[stream[-1]].cumsum(0) < u).sum()), VOCAB - 1))
stream = torch.tensor(stream)
entropy = -transition[stream[:-1], stream[1:]].log().mean()
print(f"entropy rate of the chain {entropy.item():.3f}")

config = GPT2Config(
    vocab_size=VOCAB, n_positions=BLOCK, n_embd=32, n_layer=1, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0
)
model = GPT2LMHeadModel(config)
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=200,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=64,
        learning_rate=5e-3,
        lr_scheduler_type="cosine",
        warmup_steps=20,
        logging_steps=40,
        eval_strategy="steps",
        eval_steps=100,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=SEED,
    )
    trainer = Trainer(
        model, arguments, train_dataset=MarkovBlocks(stream[:20_000]), eval_dataset=MarkovBlocks(stream[20_000:]), callbacks=[Printer()]
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
