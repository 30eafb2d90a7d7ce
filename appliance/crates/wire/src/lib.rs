//! Message types, framing and both encodings.
