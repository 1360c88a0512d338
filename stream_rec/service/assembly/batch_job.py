"""Settings -> a run over files, from the first record to the last."""

from contextlib import ExitStack

from stream_rec.service.assembly.engine import build_engine, build_quality
from stream_rec.service.assembly.inputs import (
    build_catalogue_feed,
    build_record_decoder,
    build_request_decoder,
    in_order_of_time,
    open_events,
    open_requests,
    parts_of_one_log,
)
from stream_rec.service.assembly.outputs import open_dead_letters, open_recommendations
from stream_rec.service.processing.processor import AnswerPolicy, Processor
from stream_rec.service.running.batch_job import BatchJob
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.settings import Settings
from stream_rec.transport.records import Sink

__all__ = ["build_batch_job"]


def build_batch_job(settings: Settings, timeouts: Timeouts = TIMEOUTS, answers: Sink | None = None) -> BatchJob:
    """Open everything that *settings* name. Raises SettingsError, and leaves nothing open then.

    *answers* takes the place of the sink that they name; the job closes it.
    """
    with ExitStack() as undo:
        catalogue = build_catalogue_feed(settings, timeouts)
        if catalogue is not None:
            undo.callback(catalogue.close)
            catalogue.start()
        decode = build_record_decoder(settings)
        source = open_events(settings)
        events = in_order_of_time(settings, source, decode)
        undo.callback(events.close)
        processor = Processor(
            build_engine(settings),
            build_request_decoder(settings),
            quality=build_quality(settings),
            catalogue=None if catalogue is None else catalogue.current,
            policy=AnswerPolicy(
                settings.answers_events,
                uses_log_times=settings.future_ms is not None,
                one_log=parts_of_one_log(source),
            ),
        )
        requests = open_requests(settings)
        if requests is not None:
            undo.callback(requests.close)
        recommendations = answers or open_recommendations(settings)
        if recommendations is not None:
            undo.callback(recommendations.close)
        job = BatchJob(
            processor,
            decode,
            events,
            requests=requests,
            recommendations=recommendations,
            dead_letters=open_dead_letters(settings),
            batch_events=settings.batch_events,
            catalogue=catalogue,
        )
        undo.pop_all()
    return job
