"""Links and labels in the Markdown pages of the tree lead somewhere.

usage: pages_test.py MODULE.bazel | --self-test

A link to a file has to name one that is there, with a heading for its #anchor when it has one; a label such as //bench:compare
has to name a target that a BUILD file declares.
"""

import os
import re
import sys
import tempfile

LINK = re.compile(r'\]\(([^)\s]+)\)')
LABEL = re.compile(r'(?<![\w@/:.-])//([\w./-]*)(?::([\w.+-]+))?(?![\w/])')
CODE = re.compile(r'^```.*?^```|`[^`\n]*`', re.MULTILINE | re.DOTALL)


def pages(root):
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(('.', 'bazel-')) and name != 'third_party']
        yield from (os.path.join(folder, name) for name in files if name.endswith('.md'))


def anchors(text):
    """What GitHub makes of the headings, and those that are set by hand."""
    text = re.sub(r'^```.*?^```', '', text, flags=re.MULTILINE | re.DOTALL)
    found = set(re.findall(r'<a (?:name|id)="([^"]+)"', text))
    for heading in re.findall(r'^#+ +(.*)$', text, re.MULTILINE):
        found.add(re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-'))
    return found


def has_target(root, package, name):
    build_file = os.path.join(root, package, 'BUILD.bazel')
    if not os.path.isfile(build_file):
        return False
    with open(build_file, encoding='utf-8') as text:
        # Targets of macros and list comprehensions are not all written out: a part of the name is good enough.
        words = set(re.findall(r'"([^"\n]+)"', text.read()))
    return name == 'all' or name in words or any(len(word) > 2 and name.startswith(word) for word in words)


def check(root):
    faults = []
    count = 0
    for page in pages(root):
        count += 1
        shown = os.path.relpath(page, root)
        with open(page, encoding='utf-8') as file:
            text = file.read()
        for link in LINK.findall(CODE.sub('', text)):
            if re.match(r'[a-z]+:', link):
                continue
            path, _, anchor = link.partition('#')
            target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(target):
                faults.append(f'{shown}: there is no {link}')
            elif anchor and target.endswith('.md'):
                with open(target, encoding='utf-8') as file:
                    if anchor not in anchors(file.read()):
                        faults.append(f'{shown}: there is no heading for {link}')
        for package, name in LABEL.findall(text):
            if '...' in package or not package and not name or package.endswith('/'):
                continue
            name = name or package.rsplit('/', 1)[-1]
            if name.isupper() or name.endswith('.'):  # stands for one
                continue
            if not has_target(root, package, name):
                faults.append(f'{shown}: there is no target //{package}:{name}')
    if count == 0:
        faults.append(f'no page below {root}')
    return faults


def self_test():
    def tree(folder, files):
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
            with open(os.path.join(folder, path), 'w', encoding='utf-8') as out:
                out.write(text)

    good = {
        'a/BUILD.bazel': 'sh_test(name = "t")\n[f(name = x + "_test") for x in ["one"]]',
        'README.md': '# Top\n[a](a/page.md#what-it-is) [b](#top) [c](https://x/y) `[d](not/a/link)`\n'
                     '`//a:t` `//a:one_test` `//a/...` https://x//y `//a:NAME`\n',
        'a/page.md': '## What it is\n',
    }
    cases = {
        '': '',
        'there is no nowhere.md': '[a](nowhere.md)\n',
        'there is no heading for a/page.md#gone': '[a](a/page.md#gone)\n',
        'there is no target //a:u': './bazelw test //a:u\n',
        'there is no target //b:b': '`//b`\n',
    }
    for wanted, line in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            tree(folder, {**good, 'README.md': good['README.md'] + line})
            faults = check(folder)
            if len(faults) != (1 if wanted else 0) or (wanted and wanted not in faults[0]):
                print(f'self-test: wanted {[wanted]}, got {faults}')
                return 1
    return 0


def main():
    if sys.argv[1:] == ['--self-test']:
        return self_test()
    faults = check(os.path.dirname(os.path.realpath(sys.argv[1])))
    print('\n'.join(faults))
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
