"""The results as one HTML page that needs nothing else: tables and pictures inside."""

import html

import results as results_module
import svg
from runner import CPU, PEAK

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #fff; margin: 0 auto; max-width: 1240px;
       padding: 24px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 8px; } h2 { font-size: 20px; margin: 44px 0 4px; } h3 { font-size: 15px; margin: 22px 0 2px; }
p.lead { color: #52606d; margin: 2px 0 12px; max-width: 860px; } .about { color: #52606d; font-size: 13px; }
.about li { overflow-wrap: anywhere; }
.legend { margin: 6px 0; } .key { display: inline-flex; align-items: center; margin-right: 16px; font-size: 13px; gap: 3px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 14px; margin: 18px 0; }
.tile { border: 1px solid #dde1e6; border-radius: 8px; padding: 12px 18px; }
.tile b { display: block; font-size: 28px; } .good { color: #05724e; } .bad { color: #b3261e; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums; margin: 8px 0; }
th, td { padding: 3px 5px; text-align: right; border-bottom: 1px solid #eceff3; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { white-space: normal; vertical-align: bottom; border-bottom: 2px solid #9aa5b1; }
td.ours { font-weight: 600; } tr.mean td { background: #f2f5f8; font-weight: 600; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 10px 24px; }
.picture { overflow-x: auto; } .picture svg { min-width: 560px; }
.promises td:first-child { white-space: normal; min-width: 190px; } .promises td:nth-child(2) { white-space: normal; }
h2, p { overflow-wrap: anywhere; }

"""

KEPT = "#d8f0e4"
MISSED = "#fde3dd"
MOST_MEAN = {CPU: 1.00, PEAK: 1.05}
MOST_LOAD = {CPU: 1.10, PEAK: 1.25}
SHOW = {CPU: results_module.duration, PEAK: results_module.size}


def _shade(ratio):
    """Green where ahead of the best peer, white near it, red where far behind."""
    if ratio is None:
        return ""
    if ratio <= 1.0:
        return " style='background:%s'" % KEPT
    if ratio <= 1.10:
        return ""
    strength = min((ratio - 1.1) / 1.4, 1)
    return " style='background:rgb(255,%d,%d)'" % (242 - 62 * strength, 238 - 78 * strength)


def _table(results, key):
    head = "".join("<th>%s</th>" % html.escape(name) for name in results.allocators)
    rows = ["<tr><th>load</th>%s<th>best peer</th></tr>" % head]
    means = [results.geometric_mean(name, key)[0] for name in results.allocators]
    rows.append("<tr class='mean'><td>geometric mean</td>%s<td></td></tr>" %
                "".join("<td>%s</td>" % ("-" if mean is None else "%.2f" % mean) for mean in means))
    for load in results.rows(key):
        cells = []
        for name in results.allocators:
            ratio = results.ratio(load.name, name, key)
            cells.append("<td%s%s>%s</td>" % (" class='ours'" if name == "hakmem" else "", _shade(ratio),
                                              "-" if ratio is None else "%.2f" % ratio))
        best, value = results.best_peer(load.name, key)
        rows.append("<tr><td title='%s'>%s</td>%s<td>%s</td></tr>" %
                    (html.escape(load.stresses, quote=True), html.escape(load.name), "".join(cells),
                     "%s, %s" % (html.escape(best), SHOW[key](value)) if best else "-"))
    return "<div class='scroll'><table>%s</table></div>" % "".join(rows)


def _tiles(results):
    """The verdict in a few figures."""
    tiles = []
    for key, what in ((CPU, "CPU time"), (PEAK, "peak memory")):
        mean, _ = results.geometric_mean("hakmem", key)
        if mean is None:
            continue
        good = mean <= MOST_MEAN[key]
        tiles.append("<div class='tile'>%s of hakmem, mean<b class='%s'>%.2f×</b>the best peer of each load<br>target: at most "
                     "%.2f</div>" % (what, "good" if good else "bad", mean, MOST_MEAN[key]))
        over = [load.name for load in results.rows(key) if (results.ratio(load.name, "hakmem", key) or 0) > MOST_LOAD[key]]
        count = len([load for load in results.rows(key) if results.ratio(load.name, "hakmem", key)])
        tiles.append("<div class='tile'>loads above %.2f in %s<b class='%s'>%d</b>of %d</div>" %
                     (MOST_LOAD[key], what, "bad" if over else "good", len(over), count))
    return "<div class='tiles'>%s</div>" % "".join(tiles)


def _ratios(results, style, key, title):
    rows = []
    for load in results.rows(key):
        ratios = {name: results.ratio(load.name, name, key) for name in results.allocators}
        best, value = results.best_peer(load.name, key)
        rows.append((load.name, {name: ratio for name, ratio in ratios.items() if ratio},
                     "%s" % SHOW[key](value) if best else ""))
    means = {name: results.geometric_mean(name, key)[0] for name in results.allocators}
    means = {name: mean for name, mean in means.items() if mean}
    if not rows:
        return ""
    return style.legend(results.allocators) + svg.ratio_dots(style, rows, means, title)


def field(results):
    """The picture of time and memory at once; empty when there are not two allocators to show."""
    points = {}
    for name in results.allocators:
        time, memory = results.geometric_mean(name, CPU)[0], results.geometric_mean(name, PEAK)[0]
        if time and memory:
            points[name] = (time, memory)
    if len(points) < 2:
        return ""
    return svg.scatter(svg.Style(results.allocators), points, "mean time and mean memory of each allocator",
                       "CPU time: faster to the left", "peak memory: less is lower")


def _overview(results):
    picture = field(results)
    if not picture:
        return ""
    return ("<h2>Both at once: the lower and the farther left, the better</h2><p class='lead'>Geometric means over all loads "
            "of CPU time and of peak memory, relative to the best peer of each load. 1× on both axes would be an allocator "
            "that is the best peer of every load at once.</p>" + picture)


def _promises(results):
    rows = results_module.promises(results)
    if not rows:
        return ""
    head = "".join("<th>%s</th>" % html.escape(name) for name in results.allocators)
    lines = ["<tr><th>figure: less is better, but for what is given back</th><th>aim</th>%s</tr>" % head]
    for row in rows:
        cells = []
        for name in results.allocators:
            value = row.values.get(name)
            shade = ""
            if value is not None and row.kept is not None:
                shade = " style='background:%s'" % (KEPT if row.kept(value) else MISSED)
            cells.append("<td%s%s>%s</td>" % (" class='ours'" if name == "hakmem" else "", shade, row.show(value)))
        lines.append("<tr><td>%s</td><td>%s</td>%s</tr>" % (html.escape(row.title), html.escape(row.aim), "".join(cells)))
    return ("<h2>Memory that comes back, edges, slowest calls</h2><p class='lead'>Green: the aim is reached.</p>"
            "<div class='scroll'><table class='promises'>%s</table></div>" % "".join(lines))


def _steady(results, style):
    series = {}
    for name in results.allocators:
        points = _samples(results, name, "steady")
        if points:
            series[name] = points
    if not series:
        return ""
    return ("<h2>Producer and consumer, resident memory over time: lower and flat is better</h2><p class='lead'>One thread "
            "allocates, the other frees, without a pause.</p>" +
            svg.lines(style, series, "resident memory of a producer and a consumer over time", "seconds", "resident MiB", y_low=0))


def _samples(results, name, load):
    """[(seconds, MiB)] of the run whose peak is the median."""
    runs = sorted(results.runs.get((load, name), []), key=lambda figures: figures[PEAK])
    if not runs or "rss_kib_timeline" not in runs[0]:
        return []
    points = [pair.split(":") for pair in str(runs[len(runs) // 2]["rss_kib_timeline"]).split()]
    return [(float(seconds), float(kib) / 1024) for seconds, kib in points]


def _timeline(results, name, load):
    """The samples of a burst, from the last free on."""
    points = _samples(results, name, load)
    if len(points) < 3:
        return []
    # Allocators need different times to fill and to free; the moment of the last free is the common zero.
    freed = points[2][0]
    return [(seconds - freed, mib) for seconds, mib in points[1:]]


def _bursts(results, style):
    parts = []
    for load, title in (("burst", "one thread"), ("burst-exited", "blocks of threads that have ended"),
                        ("burst-survivors", "1 % of the blocks survive at random places")):
        series = {name: _timeline(results, name, load) for name in results.allocators}
        series = {name: points for name, points in series.items() if points}
        if series:
            # Beside an axis that reaches the peak, the seconds before it say nothing.
            series = {name: [point for point in points if point[0] >= -0.5] for name, points in series.items()}
            parts.append("<div><h3>%s</h3>%s</div>" % (title, svg.lines(
                style, series, "resident memory over time, " + title, "seconds since the last free", "resident MiB", width=620,
                height=340, y_low=0)))
    if not parts:
        return ""
    return ("<h2>Memory after a burst: sooner and lower is better</h2><p class='lead'>A burst of small blocks is freed at 0 s; "
            "then the process only sleeps.</p><div class='pair'>%s</div>" % "".join(parts))


def _bytes(value):
    for unit, scale in (("M", 1 << 20), ("K", 1 << 10)):
        if value >= scale:
            return "%d%s" % (value // scale, unit)
    return "%d" % value


def _paths(results, style):
    import statistics
    families = []
    for _, family, _ in results.paths:
        if family not in families:
            families.append(family)
    parts = []
    titles = {"Pair": "one block at a time", "BatchLifo": "batches, last freed first", "BatchFifo": "batches, first freed first",
              "RandomLiveSet": "random sizes, random places"}
    for family in families:
        series = {}
        for (name, each, size), costs in results.paths.items():
            if each == family:
                series.setdefault(name, []).append((size, statistics.median(costs)))
        series = {name: sorted(series[name]) for name in results.allocators if name in series}
        sizes = sorted({size for points in series.values() for size, _ in points})
        parts.append("<div><h3>%s</h3>%s</div>" % (titles.get(family, family), svg.lines(
            style, series, "cost by block size, " + family, "block size in bytes", "time of malloc and free together", width=620,
            height=360, x_log=True, y_log=True, x_names={size: _bytes(size) for size in sizes[::3]},
            y_format=results_module.duration)))
    if not parts:
        return ""
    return ("<h2>Cost by block size: lower is better</h2><p class='lead'>CPU time of a malloc and its free, both ends of the "
            "block written and checked.</p><div class='pair'>%s</div>" % "".join(parts))


def _threads(results, style, loads):
    series = {}
    for name in results.allocators:
        points = [(count, results.median("workers-%d" % count, name, CPU)) for count in loads.THREAD_COUNTS]
        points = [(count, value) for count, value in points if value]
        if points:
            series[name] = points
    if not series:
        return ""
    return ("<h2>Cost by number of threads: lower and flatter is better</h2><p class='lead'>The larson load: CPU time of one "
            "replaced block (one free, one malloc), all workers together.</p>" +
            svg.lines(style, series, "cost by number of threads", "workers", "CPU time of a replaced block", x_log=True,
                      x_names={count: str(count) for count in loads.THREAD_COUNTS}, y_format=results_module.duration, y_low=0))


def _latency(results, style):
    shares = ["50", "90", "99", "99.9", "99.99"]
    parts = []
    for call in ("malloc", "free"):
        series = {}
        for name in results.allocators:
            points = [(place, results.median("latency", name, "%s_latency_ns_%s" % (call, share)))
                      for place, share in enumerate(shares)]
            points = [(place, value) for place, value in points if value]
            if points:
                series[name] = points
        if series:
            parts.append("<div><h3>%s</h3>%s</div>" % (call, svg.lines(
                style, series, "latency of %s" % call, "share of calls that are at least so fast, in percent", "time of a call",
                width=620, height=380, y_log=True, x_names=dict(enumerate(shares)), y_format=results_module.duration)))
    if not parts:
        return ""
    return ("<h2>The slowest calls: lower is better</h2><p class='lead'>Time of single calls in the larson load with two "
            "workers, without what the look at the clock costs. The clock counts in steps of some nanoseconds.</p><div class='pair'>%s</div>" % "".join(parts))


def html_page(results, about, loads):
    style = svg.Style(results.allocators)
    parts = ["<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
             "<title>hakmem and its peers</title><style>%s</style></head><body>" % STYLE,
             "<h1>hakmem and its peers, measured side by side</h1>",
             "<ul class='about'>%s</ul>" % "".join("<li>%s</li>" % html.escape(each) for each in about)]
    if "hakmem" in results.allocators:
        parts.append(_tiles(results))
    parts.append(_overview(results))
    for key, title, lead in (
            (CPU, "CPU time: farther left is better", "User and system time for the same work, medians, relative to the best "
             "peer of the load (1×, whose own figure stands on the right). Marks on the right edge lie beyond it."),
            (PEAK, "Peak resident memory: farther left is better", "The most that was ever resident, medians, relative to the "
             "leanest peer of the load (1×, whose own figure stands on the right). Marks on the right edge lie beyond it.")):
        picture = _ratios(results, style, key, title)
        if picture:
            parts.append("<h2>%s</h2><p class='lead'>%s</p>%s" % (title, lead, picture))
    parts += [_promises(results), _bursts(results, style), _steady(results, style), _paths(results, style), _threads(results, style, loads), _latency(results, style)]
    for key, title in ((CPU, "CPU time in figures"), (PEAK, "Peak resident memory in figures")):
        if results.rows(key):
            parts.append("<h2>%s: less is better</h2><p class='lead'>Relative to the best peer of the load; green is at or "
                         "ahead of it.</p>%s" % (title, _table(results, key)))
    if results.failures:
        parts.append("<h2>Not finished</h2><ul>%s</ul>" % "".join(
            "<li>%s on %s: %s</li>" % tuple(html.escape(word) for word in (allocator, load, reason))
            for load, allocator, reason in results.failures))
    parts.append("<h2>The loads</h2><div class='scroll'><table><tr><th>load</th><th style='text-align:left'>what it stresses"
                 "</th></tr>%s</table></div>" % "".join(
                     "<tr><td>%s</td><td style='text-align:left'>%s</td></tr>" % (html.escape(load.name),
                                                                               html.escape(load.stresses))
                     for load in results.loads))
    parts.append("</body></html>\n")
    return "".join(parts)
