;; Finds every trace with a span whose name starts with `p`. Columns: name, with its text.
(module
  (;memory;)
  (;realloc;)
  (;describe;)
  (func (export "betrace:rule/rule@0.1.0#evaluate")
    (param $traces i32) (param $spans i32) (param $events i32) (param $links i32) (param $symbols i32)
    (param $w32 i32) (param $w32_len i32) (param $w64 i32) (param $w64_len i32) (param $w8 i32) (param $w8_len i32)
    (result i32)
    (local $trace i32) (local $row i32) (local $end i32) (local $names i32) (local $offsets i32) (local $symbol i32)
    (local $findings i32) (local $found i32) (local $evidence i32) (local $start i32)
    (local.set $names (i32.add (local.get $w32) (i32.shl (i32.add (local.get $traces) (i32.const 1)) (i32.const 2))))
    (local.set $offsets (i32.add (local.get $names) (i32.shl (local.get $spans) (i32.const 2))))
    (local.set $findings (call $alloc (i32.const 4) (i32.mul (local.get $traces) (i32.const 28))))
    (local.set $evidence (call $alloc (i32.const 4) (i32.shl (local.get $spans) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $trace) (local.get $traces)))
        (local.set $row (i32.load (i32.add (local.get $w32) (i32.shl (local.get $trace) (i32.const 2)))))
        (local.set $end (i32.load offset=4 (i32.add (local.get $w32) (i32.shl (local.get $trace) (i32.const 2)))))
        (block $rows
          (loop $each
            (br_if $rows (i32.ge_u (local.get $row) (local.get $end)))
            (local.set $symbol (i32.load (i32.add (local.get $names) (i32.shl (local.get $row) (i32.const 2)))))
            (if (i32.lt_u (local.get $symbol) (local.get $symbols))
              (then
                (local.set $start
                  (i32.load (i32.add (local.get $offsets) (i32.shl (local.get $symbol) (i32.const 2)))))
                (if (i32.and
                      (i32.lt_u (local.get $start)
                        (i32.load offset=4 (i32.add (local.get $offsets) (i32.shl (local.get $symbol) (i32.const 2)))))
                      (i32.eq (i32.load8_u (i32.add (local.get $w8) (local.get $start))) (i32.const 0x70)))
                  (then
                    (i32.store (local.get $evidence) (local.get $row))
                    (call $finding (i32.add (local.get $findings) (i32.mul (local.get $found) (i32.const 28)))
                      (local.get $trace) (local.get $evidence) (i32.const 1) (i32.const 0))
                    (local.set $found (i32.add (local.get $found) (i32.const 1)))
                    (local.set $evidence (i32.add (local.get $evidence) (i32.const 4)))
                    (br $rows)))))
            (local.set $row (i32.add (local.get $row) (i32.const 1)))
            (br $each)))
        (local.set $trace (i32.add (local.get $trace) (i32.const 1)))
        (br $next)))
    (call $answer (local.get $findings) (local.get $found)))
)
