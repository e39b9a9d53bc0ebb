// Sends the spans that stdin describes through the unmodified OpenTelemetry SDK.
//
// usage: node send.mjs grpc|proto|json ENDPOINT none|gzip
// stdin: one JSON trace: [{"service": …, "name": …, "parent": index or null, "attributes": {…}}, …]
// stdout: the trace id in hex, when everything was exported.
import { readFileSync } from "node:fs";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [protocol, endpoint, compression] = process.argv.slice(2);

async function makeExporter() {
  if (protocol === "grpc") {
    const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-grpc");
    return new OTLPTraceExporter({ url: endpoint, compression });
  }
  const { OTLPTraceExporter } = await import(
    protocol === "proto" ? "@opentelemetry/exporter-trace-otlp-proto" : "@opentelemetry/exporter-trace-otlp-http"
  );
  return new OTLPTraceExporter({ url: `${endpoint}/v1/traces`, compression });
}

const exporter = await makeExporter();
let failed = null;
// The SDK's exporter, whose answers are kept: a batch processor would only log a failure.
const checked = {
  export: (spans, done) =>
    exporter.export(spans, (result) => {
      if (result.code !== 0) failed = result.error ?? new Error("export failed");
      done(result);
    }),
  forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  shutdown: () => exporter.shutdown(),
};

const providers = new Map();
const spans = [];
for (const item of JSON.parse(readFileSync(0, "utf8"))) {
  if (!providers.has(item.service)) {
    providers.set(
      item.service,
      new BasicTracerProvider({
        resource: resourceFromAttributes({ "service.name": item.service }),
        spanProcessors: [new BatchSpanProcessor(checked)],
      }),
    );
  }
  const context = item.parent === null ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, spans[item.parent]);
  const tracer = providers.get(item.service).getTracer("shop");
  spans.push(tracer.startSpan(item.name, { attributes: item.attributes }, context));
}
for (const span of spans.toReversed()) span.end();
for (const provider of providers.values()) await provider.forceFlush();
for (const provider of providers.values()) await provider.shutdown();
if (failed) {
  console.error(String(failed));
  process.exit(1);
}
console.log(spans[0].spanContext().traceId);
