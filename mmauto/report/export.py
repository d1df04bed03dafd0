def write_leaderboard(c, f):
    pass
