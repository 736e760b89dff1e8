"""A policy gradient (REINFORCE, Williams 1992) on CartPole, whose physics are those of Barto, Sutton & Anderson 1983.

An update follows as soon as whole episodes have at least `batch_size` environment steps. An episode ends after 200.
"""

import math
import random
from itertools import accumulate

import torch
from batchlaw import Trial
from torch import nn

LONGEST, DISCOUNT = 200, 0.99
SCORED = 20  # episodes, the last ones, whose mean return is the score
State = list[float]  # position, velocity, angle, angular velocity


def step(state: State, push_right: bool) -> tuple[State, bool]:
    """Twenty milliseconds later, and whether the pole has fallen or the cart has left (as CartPole-v1 has it)."""
    x, velocity, angle, spin = state
    force, sine, cosine = 10.0 if push_right else -10.0, math.sin(angle), math.cos(angle)
    pushed = (force + 0.05 * spin**2 * sine) / 1.1
    turned = (9.8 * sine - cosine * pushed) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
    moved = pushed - 0.05 * turned * cosine / 1.1
    after = [x + 0.02 * velocity, velocity + 0.02 * moved, angle + 0.02 * spin, spin + 0.02 * turned]
    return after, abs(after[0]) > 2.4 or abs(after[2]) > math.radians(12)


def episode(weights: list[list[list[float]]], rng: random.Random) -> tuple[list[State], list[int]]:
    """The states and actions of one episode, by a policy of one hidden layer, in plain Python for its speed."""
    inner, outer = weights
    state, states, actions = [rng.uniform(-0.05, 0.05) for _ in range(4)], [], []
    fallen = False
    while not fallen and len(states) < LONGEST:
        hidden = [math.tanh(sum(map(float.__mul__, row, [*state, 1.0]))) for row in inner]
        logit = sum(map(float.__mul__, outer[0], [*hidden, 1.0]))
        action = int(rng.random() * (1 + math.exp(-max(-30.0, min(30.0, logit)))) < 1)
        states.append(state)
        actions.append(action)
        state, fallen = step(state, bool(action))
    return states, actions


def returns_of(length: int) -> list[float]:
    """The discounted number of steps that are left at each step."""
    return list(accumulate([1.0] * length, lambda later, reward: reward + DISCOUNT * later))[::-1]


def rows_of(layer: nn.Linear) -> list[list[float]]:
    return torch.cat([layer.weight, layer.bias[:, None]], dim=1).tolist()


def train(trial: Trial) -> dict[str, float]:
    torch.manual_seed(trial.seed)
    rng = random.Random(trial.seed)  # noqa: S311  (no secret)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = trial.optimizer(model)
    budget, seen, lengths = trial.config.budget, 0, [0] * 0
    reported = 0
    while seen < budget:
        states, actions, returns = [], [], []
        weights = [rows_of(model[0]), rows_of(model[2])]
        while len(states) < trial.batch_size and seen + len(states) < budget:
            visited, chosen = episode(weights, rng)
            states, actions, returns = states + visited, actions + chosen, returns + returns_of(len(visited))
            lengths.append(len(visited))
        seen += len(states)
        advantage = torch.tensor(returns)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
        logits = model(torch.tensor(states))[:, 0]
        signs = 2 * torch.tensor(actions) - 1
        optimizer.zero_grad()
        (-advantage * nn.functional.logsigmoid(signs * logits)).mean().backward()
        optimizer.step()
        if (share := min(4, 4 * seen // budget)) > reported:
            reported = share
            trial.report(min(1.0, seen / budget), {"mean_return": sum(lengths[-SCORED:]) / len(lengths[-SCORED:])})
    return {"mean_return": sum(lengths[-SCORED:]) / len(lengths[-SCORED:])}
