"""The dock widget: what is shown and pressed. Everything here is on the main thread."""
