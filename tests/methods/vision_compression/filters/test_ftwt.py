"""FTWT: what counts as firing, whose loss moves whom, and that what is built comes of it."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from methods.vision_compression.filters import ftwt
from methods.vision_compression.filters._gates import Gate, GatedNet, new_gates, responses
from methods.vision_compression.filters.ftwt import FTWT, GateLearner, firing, fitting_mass
from suites._training.learner import Moment
from tests.methods.vision_compression.conftest import Make, images, same


def test_the_largest_fire_up_to_the_share_of_the_mass() -> None:
    found = torch.tensor([[1.0, 5.0, 4.0, 0.0], [0.0, 0.0, 7.0, 3.0]])
    assert firing(found, 0.5).tolist() == [[False, True, False, False], [False, False, True, False]]
    assert firing(found, 0.91).tolist() == [[False, True, True, False], [False, False, True, False]]
    assert firing(found, 1.0).tolist() == [[True, True, True, False], [False, False, True, True]]
    counts = [int(firing(found, share / 20).sum()) for share in range(1, 21)]
    assert counts == sorted(counts)


def learner(compression: Make, joint: bool = False) -> tuple[GateLearner, GatedNet]:
    task = compression("compute-50")
    torch.manual_seed(0)
    gated = GatedNet(compression("compute-50").model, new_gates(task.model), joint)
    made = GateLearner(gated, task.model, True, 0.8, 0.5, 10.0)
    made.loss(task.validation()[0])
    return made, gated


def test_the_heads_loss_moves_heads_alone_unless_it_is_joint(compression: Make) -> None:
    for joint in (False, True):
        made, gated = learner(compression, joint)
        made.gate_loss().backward()
        assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in gated.gates.parameters())
        moved = any(each.grad is not None and each.grad.abs().sum() > 0 for each in gated.net.parameters())
        assert moved is joint


def test_the_labels_move_the_net_alone(compression: Make) -> None:
    made, gated = learner(compression)
    made.weight = 0.0
    made.loss(compression("compute-50").validation()[0]).backward()
    assert all(each.grad is None for each in gated.gates.parameters())
    assert gated.net.layer1[0].conv1.weight.grad.abs().sum() > 0


def test_heads_learn_in_the_first_part_and_faster(compression: Make) -> None:
    made, gated = learner(compression)
    made.before_step(Moment(0, 10, 0.4))
    assert made.weight == 1.0
    made.before_step(Moment(6, 10, 0.6))
    assert made.weight == 0.0
    heads, rest = made.optimizer(list(gated.parameters())).param_groups
    assert heads["scale"] == 10.0
    assert "scale" not in rest
    assert sum(each.numel() for each in heads["params"]) == sum(each.numel() for each in gated.gates.parameters())


def test_responses_are_the_largest_magnitudes_after_the_activation(compression: Make) -> None:
    task = compression("compute-50")
    model, inputs, found = task.model, images(task), {}
    hook = model.layer2[0].act1.register_forward_hook(lambda _, __, out: found.__setitem__("map", out))
    given = responses(model, inputs)["layer2.0.conv1"]
    hook.remove()
    assert torch.equal(given, found["map"].flatten(2).amax(-1))
    assert (given >= 0).all()


def test_a_head_learns_which_filters_fire_of_which_image() -> None:
    """Two kinds of images, of each of which another half of the filters fires: no answer for all is right."""
    torch.manual_seed(0)
    kind = torch.arange(32) % 2
    given = torch.rand(32, 4, 3, 3) + 4 * torch.eye(4)[kind][:, :, None, None]
    fires = torch.stack([kind == 0, kind == 1], -1).repeat(1, 3).float()
    gate = Gate(4, 6)
    adam = torch.optim.Adam(gate.parameters(), lr=0.1)
    for _ in range(100):
        loss = binary_cross_entropy_with_logits(gate(given), fires)
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert torch.equal(gate.chosen(gate(given)), fires.bool())


def test_heads_come_to_say_what_fires(compression: Make) -> None:
    made, gated = learner(compression)
    batch = compression("compute-50").validation()[0]
    adam = torch.optim.Adam(gated.gates.parameters(), lr=0.05)

    def right() -> float:
        made.loss(batch)
        pairs = [(gated.gates[i].chosen(each), firing(gated.responses[i], 0.8)) for i, each in gated.logits.items()]
        return float(torch.cat([(said == fires).flatten() for said, fires in pairs]).float().mean())

    before = right()
    for _ in range(40):
        made.loss(batch)
        adam.zero_grad()
        made.gate_loss().backward()
        adam.step()
    assert before < 0.6
    assert right() > 0.7


def test_less_mass_is_kept_where_less_may_be_spent(compression: Make) -> None:
    shares = [fitting_mass(task, task.calibration(32)) for task in map(compression, ("compute-50", "compute-25"))]
    assert 0.0 < shares[1] < shares[0] < 1.0


def test_build_meets_the_limit_and_hangs_on_the_mass(compression: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task = compression("compute-50")
    assert FTWT().supports(task) is None
    assert "bytes" in str(FTWT().supports(compression("size-50")))
    built = FTWT().build(task)
    assert -0.15 < task.limits.excess(task.weigh(built)) <= 0
    asked = []
    monkeypatch.setattr(ftwt, "firing", lambda found, share: asked.append(share) or firing(found, share))
    monkeypatch.setattr(ftwt, "fitting_mass", lambda *_: 0.123)
    other = FTWT().build(compression("compute-50"))
    assert set(asked) == {0.123}
    assert not same(other, built, images(task))
