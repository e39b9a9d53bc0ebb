//! A core module under construction: functions, globals and data, each with a name, and its encoding.

use std::collections::HashMap;

use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, MemorySection, MemoryType, Module as Encoder, NameMap, NameSection,
    TypeSection, ValType,
};

use super::code::Code;

/// Where data starts: no address of ours is the null pointer, and all alignments are kept.
pub(super) const DATA: u32 = 16;

const PAGE: u32 = 65_536;

/// Longest name of a function, in characters: enough to recognise a set, short enough for a listing.
const NAME: usize = 120;

/// A function by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Func(pub(super) u32);

/// A global by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Global(pub(super) u32);

/// A module under construction.
#[derive(Default)]
pub(super) struct Module {
    signatures: Vec<(Vec<ValType>, Vec<ValType>)>,
    functions: Vec<Declared>,
    globals: Vec<(ValType, i32, String)>,
    exports: Vec<(&'static str, Func)>,
    data: Vec<u8>,
    texts: HashMap<Vec<u8>, u32>,
}

struct Declared {
    signature: u32,
    name: String,
    body: Option<Function>,
}

impl Module {
    /// A function whose body comes later.
    pub(super) fn declare(&mut self, name: &str, params: &[ValType], results: &[ValType]) -> Func {
        let known = self
            .signatures
            .iter()
            .position(|(p, r)| p == params && r == results);
        let signature = known.unwrap_or_else(|| {
            self.signatures.push((params.to_vec(), results.to_vec()));
            self.signatures.len() - 1
        });
        self.functions.push(Declared {
            signature: signature as u32,
            name: readable(name),
            body: None,
        });
        Func(self.functions.len() as u32 - 1)
    }

    pub(super) fn define(&mut self, function: Func, code: Code) {
        if let Some(declared) = self.functions.get_mut(function.0 as usize) {
            declared.body = Some(code.finish());
        }
    }

    pub(super) fn export(&mut self, name: &'static str, function: Func) {
        self.exports.push((name, function));
    }

    /// A mutable i32 that starts as 0.
    pub(super) fn global(&mut self, name: &str) -> Global {
        self.globals.push((ValType::I32, 0, readable(name)));
        Global(self.globals.len() as u32 - 1)
    }

    pub(super) fn set_global(&mut self, global: Global, value: u32) {
        if let Some((_, initial, _)) = self.globals.get_mut(global.0 as usize) {
            *initial = value.cast_signed();
        }
    }

    /// The address of these bytes.
    pub(super) fn data(&mut self, align: usize, bytes: &[u8]) -> u32 {
        let at = (DATA as usize + self.data.len()).next_multiple_of(align);
        self.data.resize(at - DATA as usize, 0);
        self.data.extend_from_slice(bytes);
        at as u32
    }

    /// The address of a text; the same text has the same address.
    pub(super) fn text(&mut self, text: &str) -> u32 {
        if let Some(&at) = self.texts.get(text.as_bytes()) {
            return at;
        }
        let at = self.data(1, text.as_bytes());
        self.texts.insert(text.as_bytes().to_vec(), at);
        at
    }

    /// The first free address after the data, for the heap.
    pub(super) fn data_end(&self) -> u32 {
        (DATA + self.data.len() as u32).next_multiple_of(DATA)
    }

    /// The module's bytes.
    pub(super) fn encode(self, name: &str) -> Vec<u8> {
        let mut types = TypeSection::new();
        for (params, results) in &self.signatures {
            types
                .ty()
                .function(params.iter().copied(), results.iter().copied());
        }
        let pages = self.data_end().div_ceil(PAGE);
        let mut functions = FunctionSection::new();
        let mut code = CodeSection::new();
        let mut function_names = NameMap::new();
        for (index, declared) in self.functions.into_iter().enumerate() {
            functions.function(declared.signature);
            function_names.append(index as u32, &declared.name);
            code.function(&declared.body.unwrap_or_else(trap));
        }
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: u64::from(pages),
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut globals = GlobalSection::new();
        let mut global_names = NameMap::new();
        for (index, (val_type, initial, name)) in self.globals.iter().enumerate() {
            globals.global(
                GlobalType {
                    val_type: *val_type,
                    mutable: true,
                    shared: false,
                },
                &ConstExpr::i32_const(*initial),
            );
            global_names.append(index as u32, name);
        }
        let mut exports = ExportSection::new();
        exports.export("memory", ExportKind::Memory, 0);
        for (name, function) in &self.exports {
            exports.export(name, ExportKind::Func, function.0);
        }
        let mut data = DataSection::new();
        data.active(0, &ConstExpr::i32_const(DATA.cast_signed()), self.data);
        let mut names = NameSection::new();
        names.module(name);
        names.functions(&function_names);
        names.globals(&global_names);

        let mut module = Encoder::new();
        module.section(&types);
        module.section(&functions);
        module.section(&memories);
        module.section(&globals);
        module.section(&exports);
        module.section(&code);
        module.section(&data);
        module.section(&names);
        module.finish()
    }
}

/// A function that was declared and never defined.
fn trap() -> Function {
    let mut function = Function::new([]);
    function.instructions().unreachable().end();
    function
}

/// On one line and not too long.
fn readable(name: &str) -> String {
    let mut readable = String::new();
    for (index, word) in name.split_whitespace().enumerate() {
        if index > 0 {
            readable.push(' ');
        }
        readable.push_str(word);
        if readable.len() > NAME {
            return readable.chars().take(NAME).chain("...".chars()).collect();
        }
    }
    readable
}
