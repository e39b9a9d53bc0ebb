;; Grows a table until it may not, and traps.
(module
  (table $more 1 funcref)
  (;memory;)
  (;realloc;)
  (;describe;)
  (func (export "betrace:rule/rule@0.1.0#evaluate")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (loop $again
      (br_if $again (i32.ne (table.grow $more (ref.null func) (i32.const 1000)) (i32.const -1))))
    (unreachable))
)
