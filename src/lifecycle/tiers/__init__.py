"""Where the services come from: started here, in containers, or found on a cluster."""
