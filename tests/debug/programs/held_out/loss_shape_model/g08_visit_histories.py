"""Which of four lab values was highest over a patient's last two visits?  GRU over visit histories of any length."""
# case: G08
# codes: model.padding-dependence
# split: held-out
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

SEED = 0


def histories(n: int, gen: torch.Generator) -> list[tuple[Tensor, int]]:
    patients = []
    for _ in range(n):
        visits = int(torch.randint(4, 31, (), generator=gen))
        values = torch.randn(visits, 4, generator=gen)
        answer = int((values[-1] + values[-2]).argmax())
        patients.append((values, answer))
    return patients


def to_batch(patients: list[tuple[Tensor, int]]) -> dict[str, Tensor]:
    return {
        "values": pad_sequence([values for values, _ in patients], batch_first=True),
        "visits": torch.tensor([len(values) for values, _ in patients]),
        "answer": torch.tensor([answer for _, answer in patients]),
    }


class HistoryModel(nn.Module):
    def __init__(self, hidden: int = 48) -> None:
        super().__init__()
        self.rnn = nn.GRU(4, hidden, batch_first=True)
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, 4)

    def forward(self, values: Tensor, visits: Tensor) -> Tensor:
        states, _ = self.rnn(values)
        last = states[:, -1]  #! last = states[torch.arange(len(visits)), visits - 1]
        return self.out(self.norm(last))


class Loop:
    def __init__(self, model: nn.Module, lr: float) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.criterion = nn.CrossEntropyLoss()

    def forward_loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        scores = self.model(batch["values"], batch["visits"])
        return self.criterion(scores, batch["answer"]), (scores.argmax(1) == batch["answer"]).float().mean()

    def train_step(self, batch: dict[str, Tensor]) -> float:
        self.model.train()
        loss, _ = self.forward_loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def validate(self, batch: dict[str, Tensor]) -> tuple[float, float]:
        self.model.eval()
        loss, accuracy = self.forward_loss(batch)
        return loss.item(), accuracy.item()


gen = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)
train, valid = histories(2000, gen), to_batch(histories(400, gen))
loop = Loop(HistoryModel(), lr=5e-3)
for epoch in range(6):
    order = torch.randperm(len(train), generator=gen).tolist()
    losses = [loop.train_step(to_batch([train[i] for i in order[k : k + 50]])) for k in range(0, len(order), 50)]
    val_loss, val_accuracy = loop.validate(valid)
    print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f}; validation {val_loss:.4f}, accuracy {val_accuracy:.3f}")
