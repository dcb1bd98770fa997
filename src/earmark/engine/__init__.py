"""The engine: a task over many items, in worker processes or in this one."""

from earmark.engine.base import TOGETHER, Alive, Each, Engine, InlineEngine, Limited, Result, Task
from earmark.engine.local import LocalEngine, default_workers
from earmark.engine.peaks import Peaks
from earmark.engine.predict import Analyse, analyse, predict_all

__all__ = [
    "TOGETHER",
    "Alive",
    "Analyse",
    "Each",
    "Engine",
    "InlineEngine",
    "Limited",
    "LocalEngine",
    "Peaks",
    "Result",
    "Task",
    "analyse",
    "default_workers",
    "predict_all",
]
