"""The running whole: what joins the parts, starts them and stops them."""
