"""One plot of quality over milliseconds: a line for each system, a point for each size of the corpus."""

import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 460, 64, 150, 24, 52
COLOURS = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e5ea2"]


def escaped(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;")


def svg(points, quality):
    """`points`: system → [(documents, milliseconds, quality)], in the order of documents. Time is logarithmic."""
    times = [time for rows in points.values() for _, time, _ in rows]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    high = max(high, low + 1)

    def x(time):
        return LEFT + (math.log10(time) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(value):
        return HEIGHT - BOTTOM - value * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for power in range(low, high + 1):
        at = x(10**power)
        parts.append(f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10**power:g}</text>')
    for tenth in range(0, 11, 2):
        at = y(tenth / 10)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">milliseconds a query</text>')
    parts.append(f'<text x="16" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 {HEIGHT / 2})">{escaped(quality)}</text>')
    for at, (name, rows) in enumerate(points.items()):
        colour = COLOURS[at % len(COLOURS)]
        line = " ".join(f"{x(time):.1f},{y(value):.1f}" for _, time, value in rows)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for documents, time, value in rows:
            size = f"{documents / 1000:g}k"
            parts.append(f'<circle cx="{x(time):.1f}" cy="{y(value):.1f}" r="4" fill="{colour}"/>')
            parts.append(f'<text x="{x(time) + 6:.1f}" y="{y(value) - 6:.1f}" fill="{colour}">{size}</text>')
        legend = TOP + 16 + 20 * at
        parts.append(f'<rect x="{WIDTH - RIGHT + 14}" y="{legend - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 32}" y="{legend}">{escaped(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
