"""Where frames come from: layers, cameras, acquisitions, anything that iterates."""
