"""Local servers for tools without an embedded mode; each speaks the real tool's wire protocol."""
