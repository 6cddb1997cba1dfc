"""小红书 Xiaohongshu (Ark): one gateway, renewed tokens, pushes whose proof leaves the body out, and a simulator."""
