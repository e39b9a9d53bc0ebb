"""Sends the spans that a line on stdin describes through the unmodified OpenTelemetry SDK.

usage: send.py grpc|http ENDPOINT none|gzip
stdin: one JSON trace: [{"service": …, "name": …, "parent": index or null, "attributes": {…}}, …]
stdout: the trace id in hex, when everything was exported.
"""

import json
import sys

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult


class Checked:
    """The SDK's exporter, whose answers are kept: a batch processor would only log a failure."""

    def __init__(self, exporter):
        self.exporter = exporter
        self.failed = False

    def export(self, spans):
        result = self.exporter.export(spans)
        self.failed |= result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self):
        self.exporter.shutdown()

    def force_flush(self, timeout_millis=30000):
        return self.exporter.force_flush(timeout_millis)


def exporter(protocol, endpoint, compression):
    if protocol == "grpc":
        import grpc
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        kind = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
        return OTLPSpanExporter(endpoint=endpoint, insecure=True, compression=kind)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    kind = Compression.Gzip if compression == "gzip" else Compression.NoCompression
    return OTLPSpanExporter(endpoint=endpoint + "/v1/traces", compression=kind)


def main():
    protocol, endpoint, compression = sys.argv[1:]
    checked = Checked(exporter(protocol, endpoint, compression))
    providers = {}
    spans = []
    for item in json.load(sys.stdin):
        service = item["service"]
        if service not in providers:
            providers[service] = TracerProvider(resource=Resource.create({"service.name": service}))
            providers[service].add_span_processor(BatchSpanProcessor(checked))
        parent = item["parent"]
        context = None if parent is None else trace.set_span_in_context(spans[parent])
        tracer = providers[service].get_tracer("shop")
        spans.append(tracer.start_span(item["name"], context=context, attributes=item["attributes"]))
    for span in reversed(spans):
        span.end()
    # They share an exporter, which the first shutdown ends.
    for provider in providers.values():
        provider.force_flush()
    for provider in providers.values():
        provider.shutdown()
    if checked.failed:
        sys.exit("the exporter reported a failure")
    print(f"{spans[0].get_span_context().trace_id:032x}")


main()
