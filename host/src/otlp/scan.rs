//! One pass over an `ExportTraceServiceRequest`: bytes in, where each span lies out.
//!
//! Accepts exactly what prost accepts (but for UTF-8, which is checked where a string is read), so that whatever reads
//! the bytes later cannot meet damage.

/// A byte range of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    pub start: u32,
    pub len: u32,
}

/// What a scan found. The vectors are reused from request to request.
#[derive(Debug, Default)]
pub struct Scan {
    pub spans: Vec<ScannedSpan>,
    /// One for each `ScopeSpans` that holds spans.
    pub sections: Vec<Section>,
    /// Ranges of `Resource` payloads, then of `InstrumentationScope` payloads; a section names runs of them, since a singular
    /// message that comes twice is merged.
    pub parts: Vec<Range>,
    /// Spans that can't be used: a trace id that is not 16 bytes or is all zeros, a span id that is not 8 bytes or is
    /// all zeros. They are not among `spans`.
    pub rejected: u32,
}

/// The resource and the scope that spans share: runs of `Scan::parts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    pub resource: Run,
    pub scope: Run,
}

/// `parts[first..first + count]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Run {
    pub first: u32,
    pub count: u32,
}

/// Where one span's payload lies, and what routing and assembly need to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScannedSpan {
    pub trace_id: [u8; 16],
    pub range: Range,
    pub section: u32,
    /// It has no parent span id (absent, empty or all zeros).
    pub is_root: bool,
    /// It says that it dropped attributes, events or links.
    pub dropped: bool,
}
