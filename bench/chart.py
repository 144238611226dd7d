"""chart: the table of a run of `shunt bench` as an SVG: a bar a workload, its length the ratio to the kernel."""
from xml.sax.saxutils import escape

ROW, LEFT, RIGHT, WIDTH = 34, 330, 150, 560


def svg(results, title, says):
    """results: the objects of the JSON. The axis is logarithmic: 2x and 0.5x are as far from 1x."""
    import math

    top = 64
    height = top + ROW * len(results) + 30
    most = max([2.0] + [r['ratio'] for r in results])
    least = min([1.0] + [r['ratio'] for r in results])
    low, high = math.floor(math.log2(least)), math.ceil(math.log2(most))
    x = lambda ratio: LEFT + (math.log2(ratio) - low) / (high - low) * WIDTH
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{height}" '
           'font-family="sans-serif" font-size="13">',
           f'<rect width="{LEFT + WIDTH + RIGHT}" height="{height}" fill="#ffffff"/>',
           f'<text x="16" y="24" font-size="16" font-weight="bold">{escape(title)}</text>',
           f'<text x="16" y="44" fill="#555555">{escape(says)}</text>']
    for e in range(low, high + 1):
        at = x(2.0 ** e)
        out.append(f'<line x1="{at:.1f}" y1="{top - 8}" x2="{at:.1f}" y2="{height - 24}" '
                   f'stroke="{"#444444" if e == 0 else "#dddddd"}"/>')
        out.append(f'<text x="{at:.1f}" y="{height - 8}" text-anchor="middle" fill="#555555">{2.0 ** e:g}x</text>')
    for i, r in enumerate(results):
        y = top + i * ROW
        a, b = sorted((x(1), x(r['ratio'])))
        out.append(f'<text x="{LEFT - 10}" y="{y + 17}" text-anchor="end">{escape(r["what"])}</text>')
        out.append(f'<rect x="{a:.1f}" y="{y + 3}" width="{max(b - a, 1):.1f}" height="{ROW - 14}" '
                   f'fill="{"#2a7f62" if r["ratio"] >= 1 else "#b5523b"}"/>')
        out.append(f'<text x="{x(max(r["ratio"], 1)) + 6:.1f}" y="{y + 17}">{r["ratio"]:.2f}x  '
                   f'<tspan fill="#555555">{short(r["shunt_median"])} {escape(r["unit"])}</tspan></text>')
    return '\n'.join(out + ['</svg>', ''])


def short(v):
    if v >= 1e6:
        return f'{v / 1e6:.2f}M'
    if v >= 1e4:
        return f'{v / 1e3:.1f}k'
    return f'{v:.0f}' if v >= 100 else f'{v:.2f}'
