;; Takes its time, some ten milliseconds a call, and then finds the first trace of it.
(module
  (;memory;)
  (;realloc;)
  (;describe;)
  (func (export "betrace:rule/rule@0.1.0#evaluate")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (local $left i32) (local $findings i32)
    (local.set $left (i32.const 10000000))
    (loop $on
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $on (local.get $left)))
    (local.set $findings (call $alloc (i32.const 4) (i32.const 28)))
    (call $finding (local.get $findings) (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0))
    (call $answer (local.get $findings) (i32.const 1)))
)
