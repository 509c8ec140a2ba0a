//! Error codes: JSON-RPC 2.0 section 5.1 and MCP 2026-07-28, Base Protocol, "Error Codes".

/// The text is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON, but not a request, notification or response that may stand here.
pub const INVALID_REQUEST: i64 = -32600;
/// No such method, or the capability that it belongs to was not offered.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Unknown tool, prompt or resource, bad cursor, wrong or missing parameters.
pub const INVALID_PARAMS: i64 = -32602;
/// It failed on our side.
pub const INTERNAL_ERROR: i64 = -32603;
/// Resource not found, up to 2025-11-25; the modern era says [`INVALID_PARAMS`] and forbids this one.
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// HTTP headers and body of a modern request differ, or a header is missing.
pub const HEADER_MISMATCH: i64 = -32020;
/// The call needs a client capability that the request does not declare.
pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
/// The revision that the request names is not spoken here; `data.supported` lists those which are.
pub const UNSUPPORTED_VERSION: i64 = -32022;
/// A person has to visit an address before the call can be made (2025-11-25); the modern era says so by a result.
pub const URL_ELICITATION_REQUIRED: i64 = -32042;
