"""mlkit from Python. It also watches a validation part, and puts intervals on the metrics of every split."""

import json
import sys

import mlkit

data = mlkit.data.load("mnist", limit=10_000)
result = mlkit.fit(mlkit.models.lenet(), data, max_epochs=3, batch_size=64, speed=sys.argv[1])

accuracy = result.metrics["test"]["accuracy"].value
parameters = sum(parameter.numel() for parameter in result.model.parameters())
print(json.dumps({"accuracy": accuracy, "steps": result.state.step, "parameters": parameters}))
