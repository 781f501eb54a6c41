"""A bar chart in SVG."""

from collections.abc import Mapping

WIDTH, LABEL, BAR, GAP, TOP = 760, 150, 15, 14, 76
COLORS = ("#1b6ca8", "#5aa9d6", "#c8553d", "#8a8a8a", "#d9a441")


def bars(title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """Groups of horizontal bars, the same names in each."""
    names = list(dict.fromkeys(name for values in groups.values() for name in values))
    colors = dict(zip(names, COLORS, strict=False))
    largest = max(value for values in groups.values() for value in values.values())
    scale = (WIDTH - LABEL - 60) / largest
    height, parts = TOP, []
    for group, values in groups.items():
        middle = height + len(values) * BAR / 2
        parts.append(f'<text x="{LABEL - 10}" y="{middle + 4:.0f}" text-anchor="end">{group}</text>')
        for name, value in values.items():
            size = f'width="{value * scale:.1f}" height="{BAR - 2}"'
            parts.append(f'<rect x="{LABEL}" y="{height}" {size} fill="{colors[name]}"><title>{name}</title></rect>')
            parts.append(
                f'<text x="{LABEL + value * scale + 5:.1f}" y="{height + 11}" font-size="11">{value:.2f}</text>'
            )
            height += BAR
        height += GAP
    for number, (name, color) in enumerate(colors.items()):
        x, y = 12 + number % 3 * (WIDTH - 12) // 3, 34 + number // 3 * 16
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{color}"/>')
        parts.append(f'<text x="{x + 14}" y="{y + 9}" font-size="11">{name}</text>')
    box = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    background = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    heading = f'<text x="12" y="22" font-weight="bold">{title}</text>'
    return "\n".join([head, background, heading, *parts, "</svg>"]) + "\n"
