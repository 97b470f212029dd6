"""How a drawn video is made: shapes, textures, bodies, scenery, and the rays that meet them."""
