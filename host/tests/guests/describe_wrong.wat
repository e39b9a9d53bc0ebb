;; Says of itself a severity that there is not.
(module
  (;memory;)
  (;realloc;)
  (func (export "betrace:rule/rule@0.1.0#describe") (result i32)
    (i32.store8 (i32.const 65556) (i32.const 99))
    (i32.const 65536))
  (func (export "betrace:rule/rule@0.1.0#evaluate")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (call $answer (i32.const 4) (i32.const 0)))
)
