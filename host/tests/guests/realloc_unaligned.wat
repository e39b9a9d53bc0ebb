;; Gives the host memory that is not aligned.
(module
  (;memory;)
  (;describe;)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65537))
  (func (export "betrace:rule/rule@0.1.0#evaluate")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (i32.const 4096))
)
