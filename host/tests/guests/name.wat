;; Finds every trace with a span whose name is the rule's constant 0. Columns: name.
(module
  (;memory;)
  (;realloc;)
  (;describe;)
  (func (export "betrace:rule/rule@0.1.0#evaluate")
    (param $traces i32) (param $spans i32) (param $events i32) (param $links i32) (param $symbols i32)
    (param $w32 i32) (param $w32_len i32) (param $w64 i32) (param $w64_len i32) (param $w8 i32) (param $w8_len i32)
    (result i32)
    (local $trace i32) (local $row i32) (local $end i32) (local $wanted i32) (local $names i32)
    (local $findings i32) (local $found i32) (local $evidence i32) (local $first i32) (local $count i32) (local $more i32)
    (local.set $names (i32.add (local.get $w32) (i32.shl (i32.add (local.get $traces) (i32.const 2)) (i32.const 2))))
    (local.set $wanted (i32.load (i32.sub (local.get $names) (i32.const 4))))
    (local.set $findings (call $alloc (i32.const 4) (i32.mul (local.get $traces) (i32.const 28))))
    (local.set $evidence (call $alloc (i32.const 4) (i32.shl (local.get $spans) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $trace) (local.get $traces)))
        (local.set $row (i32.load (i32.add (local.get $w32) (i32.shl (local.get $trace) (i32.const 2)))))
        (local.set $end (i32.load offset=4 (i32.add (local.get $w32) (i32.shl (local.get $trace) (i32.const 2)))))
        (local.set $first (local.get $evidence))
        (local.set $count (i32.const 0))
        (local.set $more (i32.const 0))
        (block $rows
          (loop $each
            (br_if $rows (i32.ge_u (local.get $row) (local.get $end)))
            (if (i32.eq (local.get $wanted)
                  (i32.load (i32.add (local.get $names) (i32.shl (local.get $row) (i32.const 2)))))
              (then
                (if (i32.lt_u (local.get $count) (i32.const 100))
                  (then
                    (i32.store (local.get $evidence) (local.get $row))
                    (local.set $evidence (i32.add (local.get $evidence) (i32.const 4)))
                    (local.set $count (i32.add (local.get $count) (i32.const 1))))
                  (else (local.set $more (i32.add (local.get $more) (i32.const 1)))))))
            (local.set $row (i32.add (local.get $row) (i32.const 1)))
            (br $each)))
        (if (i32.and (i32.ne (local.get $wanted) (i32.const -1)) (i32.ne (local.get $count) (i32.const 0)))
          (then
            (call $finding (i32.add (local.get $findings) (i32.mul (local.get $found) (i32.const 28)))
              (local.get $trace) (local.get $first) (local.get $count) (local.get $more))
            (local.set $found (i32.add (local.get $found) (i32.const 1)))))
        (local.set $trace (i32.add (local.get $trace) (i32.const 1)))
        (br $next)))
    (call $answer (local.get $findings) (local.get $found)))
)
