"""`step.checkpoint-not-loaded`: prefixes, and filters that leave nothing; not a state that lacks the new head."""

from tests.debug.live import Net, found

CODE = "step.checkpoint-not-loaded"


def test_a_prefix_too_many_or_too_few() -> None:
    def more() -> None:
        state = {f"module.{name}": value for name, value in Net().state_dict().items()}
        Net().load_state_dict(state, strict=False)

    [finding] = found(more, CODE)
    assert finding.severity == "error"
    assert 'removeprefix("module.")' in finding.fix

    def fewer() -> None:
        state = {name.removeprefix("first."): value for name, value in Net().state_dict().items() if "first" in name}
        Net().load_state_dict(state, strict=False)

    [finding] = found(fewer, CODE)
    assert '"first." + name' in finding.fix or finding.severity == "error"


def test_a_filter_that_leaves_nothing() -> None:
    def program() -> None:
        state = {f"model.{name}": value for name, value in Net().state_dict().items()}
        model = Net()
        own = model.state_dict()
        own.update({name: value for name, value in state.items() if name in own})
        model.load_state_dict(own)

    assert found(program, CODE)


def test_a_state_without_the_head_is_quiet() -> None:
    def program() -> None:
        state = {name: value for name, value in Net().state_dict().items() if not name.startswith("head")}
        model = Net()
        model.load_state_dict(state, strict=False)
        own = model.state_dict()
        own.update(state)
        model.load_state_dict(own)

    assert not found(program, CODE)
