;; A component that wants something of the host.
(component
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64)))))
  (import "secret" (func)))
