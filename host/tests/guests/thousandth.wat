;; Behaves for 999 calls, and traps in the next.
(module
  (;memory;)
  (;realloc;)
  (;describe;)
  (global $calls (mut i32) (i32.const 0))
  (func (export "betrace:rule/rule@0.1.0#evaluate")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.ge_u (global.get $calls) (i32.const 1000))
      (then (unreachable)))
    (call $answer (i32.const 4) (i32.const 0)))
)
