"""How long chips take to exchange data: topologies and collectives."""
