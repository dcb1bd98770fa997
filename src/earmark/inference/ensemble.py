"""Several models as one: the mean of their probabilities, head by head. Needs no NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from earmark.errors import ModelError
from earmark.inference.answers import answers, numbers
from earmark.inference.records import Prediction, Taggram
from earmark.models.card import Card, HeadCard

__all__ = ["combine", "joint_card"]


def joint_card(cards: Sequence[Card]) -> Card:
    """The card of an ensemble: heads that all models have with the same labels, in the first one's order.

    Raises:
        ModelError: The models have no head in common.
    """
    first, *others = cards
    if not others:
        return first
    heads = tuple(joint for head in first.heads if (joint := _joint_head(head, others)) is not None)
    if not heads:
        raise ModelError(
            f"the models {', '.join(card.id for card in cards)} have no head with the same labels in common"
        )
    name = "+".join(card.id for card in cards)
    return replace(first, name=name, version="ensemble", heads=heads)


def _joint_head(head: HeadCard, others: Sequence[Card]) -> HeadCard | None:
    same = [
        other
        for card in others
        for other in card.heads
        if (other.name, other.task) == (head.name, head.task) and set(other.labels) == set(head.labels)
    ]
    if len(same) != len(others):
        return None
    everyone = [head, *same]
    parents = head.parents if all(h.parents == head.parents for h in everyone) else {}
    head = replace(head, threshold=sum(h.threshold for h in everyone) / len(everyone), parents=parents)
    names = head.names if any(h.thresholds for h in everyone) else ()
    thresholds = {name: sum(h.threshold_of(name) for h in everyone) / len(everyone) for name in names}
    return replace(head, thresholds=thresholds)


def combine(predictions: Sequence[Prediction], card: Card) -> Prediction:
    """The mean of several models' predictions of one track; ``card`` is their :func:`joint_card`."""
    first = predictions[0]
    scores: dict[str, list[float]] = {}
    over_time: dict[str, Taggram] = {}
    for head in card.heads:
        each = [prediction.heads[head.name] for prediction in predictions]
        if head.task == "regression":
            scores[head.name] = [sum(one.value or 0.0 for one in each) / len(each)]
        else:
            scores[head.name] = [sum(one.scores[label] for one in each) / len(each) for label in head.labels]
        if (joint := _combine_taggrams([one.taggram for one in each])) is not None:
            over_time[head.name] = joint
    heads = answers(card.heads, scores, over_time)
    for name, joint_head in heads.items():  # the first model's reasons, where it names the same
        why = first.heads[name].why
        heads[name] = replace(joint_head, why=why if why is not None and why.name == joint_head.main else None)
    return replace(first, model=card.name, heads=heads, features=numbers(heads, first.features)).settled()


def _combine_taggrams(taggrams: Sequence[Taggram | None]) -> Taggram | None:
    """The mean over time where all models analyse the same clips; the first one's otherwise."""
    first = taggrams[0]
    if first is None or any(one is None or one.start != first.start for one in taggrams):
        return first
    every = [one for one in taggrams if one is not None]
    return replace(
        first,
        scores={
            label: tuple(
                round(sum(values) / len(every), 4) for values in zip(*(one.scores[label] for one in every), strict=True)
            )
            for label in first.scores
        },
    )
