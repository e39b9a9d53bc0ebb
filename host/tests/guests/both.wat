;; Finds every trace with a span named constant 0 and a span of service constant 1. Columns: name, service.
(module
  (;memory;)
  (;realloc;)
  (;describe;)
  (func (export "betrace:rule/rule@0.1.0#evaluate")
    (param $traces i32) (param $spans i32) (param $events i32) (param $links i32) (param $symbols i32)
    (param $w32 i32) (param $w32_len i32) (param $w64 i32) (param $w64_len i32) (param $w8 i32) (param $w8_len i32)
    (result i32)
    (local $trace i32) (local $row i32) (local $end i32) (local $columns i32) (local $at i32) (local $seen i32)
    (local $findings i32) (local $found i32)
    (local.set $columns (i32.add (local.get $w32) (i32.shl (i32.add (local.get $traces) (i32.const 3)) (i32.const 2))))
    (local.set $findings (call $alloc (i32.const 4) (i32.mul (local.get $traces) (i32.const 28))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $trace) (local.get $traces)))
        (local.set $row (i32.load (i32.add (local.get $w32) (i32.shl (local.get $trace) (i32.const 2)))))
        (local.set $end (i32.load offset=4 (i32.add (local.get $w32) (i32.shl (local.get $trace) (i32.const 2)))))
        (local.set $seen (i32.const 0))
        (block $rows
          (loop $each
            (br_if $rows (i32.ge_u (local.get $row) (local.get $end)))
            (local.set $at (i32.add (local.get $columns) (i32.shl (local.get $row) (i32.const 2))))
            (if (call $same (i32.load (local.get $at)) (i32.load (i32.sub (local.get $columns) (i32.const 8))))
              (then (local.set $seen (i32.or (local.get $seen) (i32.const 1)))))
            (if (call $same
                  (i32.load (i32.add (local.get $at) (i32.shl (local.get $spans) (i32.const 2))))
                  (i32.load (i32.sub (local.get $columns) (i32.const 4))))
              (then (local.set $seen (i32.or (local.get $seen) (i32.const 2)))))
            (local.set $row (i32.add (local.get $row) (i32.const 1)))
            (br $each)))
        (if (i32.eq (local.get $seen) (i32.const 3))
          (then
            (call $finding (i32.add (local.get $findings) (i32.mul (local.get $found) (i32.const 28)))
              (local.get $trace) (i32.const 4) (i32.const 0) (i32.const 0))
            (local.set $found (i32.add (local.get $found) (i32.const 1)))))
        (local.set $trace (i32.add (local.get $trace) (i32.const 1)))
        (br $next)))
    (call $answer (local.get $findings) (local.get $found)))
  ;; Equal, and there.
  (func $same (param $left i32) (param $right i32) (result i32)
    (i32.and (i32.eq (local.get $left) (local.get $right)) (i32.ne (local.get $left) (i32.const -1))))
)
