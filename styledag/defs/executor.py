"""Runs in one process that wait for a pool asleep, name its holder, and end when asked to.

Dagster's in-process executor asks for a pool's slot in a loop that never sleeps
(``InstanceConcurrencyContext.interval_to_next_pending_claim_check`` is at most 0) and that no
interrupt ends. Only that wait differs here.
"""

import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import dagster as dg
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from styledag.defs.history import partitions_of
from styledag.defs.run_locks import run_lock
from styledag.defs.run_processes import end_dead_runs

OnWait = Callable[[str], None]
_LONGEST_SLEEP_S = 5.0


def ignore_wait(_sentence: str) -> None:
    """Do nothing: the run's log has the sentence too."""


def waiting_executor(on_wait: OnWait = ignore_wait) -> dg.ExecutorDefinition:
    """Return the executor of the graph: one process a run, asleep while it waits for a pool.

    In one process torch and the models are loaded once, and the GPU is not shared.

    Args:
        on_wait: Is called once for each wait with a sentence that names the pool's holder.
    """

    @dg.executor(name="in_process")
    def in_process(_: dg.InitExecutorContext) -> "WaitingExecutor":
        return WaitingExecutor(on_wait)

    return in_process


class WaitingExecutor(InProcessExecutor):
    """Dagster's in-process executor with another wait for pools."""

    def __init__(self, on_wait: OnWait) -> None:
        super().__init__(retries=RetryMode.ENABLED)
        self._on_wait = on_wait

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        """Yield the events of the plan's steps."""
        process = EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute)
        message = f"Executing steps in process (pid: {os.getpid()})"
        yield DagsterEvent.engine_event(plan_context, message, event_specific_data=process)
        steps = ExecuteRunWithPlanIterable(
            execution_plan=execution_plan,
            iterator=self._steps,
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                step_dependency_config=self.step_dependency_config,
            ),
        )
        with run_lock(plan_context.instance, plan_context.dagster_run.run_id):
            yield from steps

    def _steps(
        self, job_context: PlanExecutionContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        with _SleepingClaims(job_context.instance, job_context.dagster_run, self._on_wait) as slots:
            yield from inner_plan_execution_iterator(job_context, execution_plan, slots)


class _SleepingClaims(InstanceConcurrencyContext):
    """A run's claims to slots of pools."""

    def __init__(self, instance: dg.DagsterInstance, run: dg.DagsterRun, on_wait: OnWait) -> None:
        super().__init__(instance, run)
        self._run = run
        self._on_wait = on_wait
        self._announced: set[str] = set()

    def claim(self, concurrency_key: str, step_key: str, step_priority: int = 0) -> bool:
        """Return whether a step has a slot now; report once who has it if it has none."""
        if super().claim(concurrency_key, step_key, step_priority):
            return True
        if step_key not in self._announced:
            self._announced.add(step_key)
            sentence = f"{step_key} waits for {_holder(self._instance, concurrency_key)}"
            self._instance.report_engine_event(sentence, self._run)
            self._on_wait(sentence)
        return False

    def interval_to_next_pending_claim_check(self) -> float:
        """Sleep until a slot may be free; return 0, as nothing is left to wait for.

        Raises:
            dagster.DagsterExecutionInterruptedError: At an interrupt or a request to terminate.
        """
        pending = [self._pending_timeouts[step] for step in self._pending_claims]
        sleep_s = min([_LONGEST_SLEEP_S, *(ready_at - time.time() for ready_at in pending)])
        with dg.raise_execution_interrupts():
            time.sleep(max(0.0, sleep_s))
        # Without the daemon nobody else frees the slot of a run whose process was killed.
        end_dead_runs(self._instance)
        return 0.0


def _holder(instance: dg.DagsterInstance, pool: str) -> str:
    """Return which runs have the slots of a pool, for a person."""
    slots = instance.event_log_storage.get_concurrency_info(pool).claimed_slots
    holders = []
    for slot in slots:
        record = instance.get_run_record_by_id(slot.run_id)
        holder = f"{slot.step_key} in run {slot.run_id[:8]}"
        if record is not None:
            partitions = partitions_of(record.dagster_run)
            holder = f"{slot.step_key} of {partitions or 'all'} in run {slot.run_id[:8]}"
            if record.start_time is not None:
                started = datetime.fromtimestamp(record.start_time).astimezone()
                holder += f", started {started:%Y-%m-%d %H:%M}"
        holders.append(holder)
    return f"the pool {pool!r}, used by {'; '.join(holders) or 'runs that are queued before it'}"
