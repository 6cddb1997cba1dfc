"""通用 HTTP: any system that can send or receive JSON, without a connector of its own."""
