;; Gives the host memory that is not aligned.
(module
  (;memory;)
  (;describe;)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65537))
  (func (export "evaluate")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (i32.const 4096))
)
