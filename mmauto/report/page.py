def write_report(v, s, p):
    p.write_text("x")
