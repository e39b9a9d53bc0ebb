;; Traps where a span of the call has the rule's constant 0 for its name, else finds every trace. Columns: name.
(module
  (;memory;)
  (;realloc;)
  (;describe;)
  (func (export "betrace:rule/rule@0.1.0#evaluate")
    (param $traces i32) (param $spans i32) (param $events i32) (param $links i32) (param $symbols i32)
    (param $w32 i32) (param $w32_len i32) (param $w64 i32) (param $w64_len i32) (param $w8 i32) (param $w8_len i32)
    (result i32)
    (local $trace i32) (local $row i32) (local $wanted i32) (local $names i32) (local $findings i32)
    (local.set $names (i32.add (local.get $w32) (i32.shl (i32.add (local.get $traces) (i32.const 2)) (i32.const 2))))
    (local.set $wanted (i32.load (i32.sub (local.get $names) (i32.const 4))))
    (block $rows
      (loop $each
        (br_if $rows (i32.ge_u (local.get $row) (local.get $spans)))
        (if (i32.eq (local.get $wanted)
              (i32.load (i32.add (local.get $names) (i32.shl (local.get $row) (i32.const 2)))))
          (then (unreachable)))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $each)))
    (local.set $findings (call $alloc (i32.const 4) (i32.mul (local.get $traces) (i32.const 28))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $trace) (local.get $traces)))
        (call $finding (i32.add (local.get $findings) (i32.mul (local.get $trace) (i32.const 28)))
          (local.get $trace) (i32.const 0) (i32.const 0) (i32.const 0))
        (local.set $trace (i32.add (local.get $trace) (i32.const 1)))
        (br $next)))
    (call $answer (local.get $findings) (local.get $traces)))
)
