"""Transformer encoder over padded sequences with a key padding mask and masked mean pooling."""
# case: healthy
# codes: none
# split: held-out

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
PAD = 0


class LetterSums(Dataset):
    """Sequences of letters; the label is the sum of the letters' hidden weights, above or below zero."""

    def __init__(self, n: int, weights: Tensor, generator: torch.Generator):
        self.items = []
        for _ in range(n):
            length = int(torch.randint(3, 16, (1,), generator=generator))
            ids = torch.randint(1, len(weights), (length,), generator=generator)
            self.items.append((ids, (weights[ids].sum() > 0).long()))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int):
        return self.items[i]


def pad_batch(items):
    longest = max(len(ids) for ids, _ in items)
    ids = torch.full((len(items), longest), PAD)
    for row, (seq, _) in zip(ids, items, strict=True):
        row[: len(seq)] = seq
    return ids, torch.stack([label for _, label in items])


class Encoder(nn.Module):
    def __init__(self, vocab: int, dim: int = 32, max_len: int = 16):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim, padding_idx=PAD)
        self.position = nn.Embedding(max_len, dim)
        layer = nn.TransformerEncoderLayer(dim, 2, dim_feedforward=64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.out = nn.Linear(dim, 2)

    def forward(self, ids: Tensor) -> Tensor:
        padding = ids == PAD
        x = self.embed(ids) + self.position.weight[: ids.shape[1]]
        x = self.encoder(x, src_key_padding_mask=padding)
        keep = (~padding).unsqueeze(-1).float()
        return self.out((x * keep).sum(1) / keep.sum(1))


generator = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)
letter_weights = torch.randn(20, generator=generator)
train_loader = DataLoader(LetterSums(3000, letter_weights, generator), batch_size=60, shuffle=True, collate_fn=pad_batch)
valid_loader = DataLoader(LetterSums(600, letter_weights, generator), batch_size=200, collate_fn=pad_batch)
model = Encoder(vocab=20)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(5):
    model.train()
    total = 0.0
    for ids, labels in train_loader:
        optimizer.zero_grad()
        loss = loss_fn(model(ids), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
    model.eval()
    with torch.no_grad():
        hits = sum((model(ids).argmax(1) == labels).sum().item() for ids, labels in valid_loader)
    print(f"epoch {epoch}: loss {total / len(train_loader):.3f} validation accuracy {hits / 600:.3f}")
