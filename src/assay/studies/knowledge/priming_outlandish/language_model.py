"""placeholder while the toys are tried"""
