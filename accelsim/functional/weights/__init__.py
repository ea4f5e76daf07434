"""Files of real weights: GGUF and safetensors, read without trust and without copying."""
