"""What a paper that uses an answer cites: numbered in the order of the text, with DOI, and as BibTeX."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scfm_core.model import ModelSpec

_MARK = re.compile(r"\s*\{([a-z][a-z0-9_,-]*)\}")


@dataclass(frozen=True, kw_only=True)
class Citation:
    """A published work.

    Attributes
    ----------
    key
        How texts and BibTeX name it: first author and year.
    authors
        As BibTeX separates them, with `` and `` between.
    year
        0 for what has none of its own, such as a model with its card.
    where
        Journal with volume and pages, or what stands for them.
    """

    key: str
    title: str
    where: str
    authors: str = ""
    year: int = 0
    doi: str = ""
    url: str = ""

    def __str__(self) -> str:
        named = f"{_first_authors(self.authors)} ({self.year}). " if self.authors else ""
        link = f" doi:{self.doi}" if self.doi else f" {self.url}" if self.url else ""
        return f"{named}{self.title}. {self.where.rstrip('.')}.{link}"

    def bibtex(self) -> str:
        """Return the work as a BibTeX entry."""
        rows = {
            "author": self.authors, "year": str(self.year or ""), "title": f"{{{_tex(self.title)}}}",
            "journal" if self.year else "note": _tex(self.where), "doi": self.doi, "url": self.url,
        }  # fmt: skip
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in rows.items() if value)
        return f"@{'article' if self.year else 'misc'}{{{self.key},\n{body}\n}}\n"


def numbered(texts: Sequence[str], known: Sequence[Citation]) -> tuple[tuple[str, ...], tuple[Citation, ...]]:
    """Put numbers in the place of the marks ``{key}`` and ``{key,key}``; return the texts and what the numbers mean.

    What looks like a mark and names no known work is left as it is: a name from a file may hold braces.

    Examples
    --------
    >>> work = Citation(key="a1", authors="A, B", year=1901, title="T", where="J 1, 2")
    >>> numbered(["By ranks {a1}.", "Again {a1}."], [work])[0]
    ('By ranks [1].', 'Again [1].')
    """
    by_key = {work.key: work for work in known}
    cited: dict[str, Citation] = {}

    def number(match: re.Match[str]) -> str:
        if not by_key.keys() >= set(match[1].split(",")):
            return match[0]
        for key in match[1].split(","):
            cited.setdefault(key, by_key[key])
        places = [list(cited).index(key) + 1 for key in match[1].split(",")]
        return f" [{', '.join(map(str, places))}]"

    written = tuple(_MARK.sub(number, text) for text in texts)
    return written, tuple(cited.values())


def of_model(model: ModelSpec) -> Citation:
    """Return how a model is cited, in the words of its card."""
    return Citation(
        key=f"model-{model.key}", title=f"{model.title}, revision {model.revision}", where=model.citation, doi=model.doi
    )


def bibtex(cited: Sequence[Citation]) -> str:
    """Return works as a BibTeX file."""
    return "\n".join(work.bibtex() for work in cited)


def _first_authors(authors: str) -> str:
    names = authors.split(" and ")
    if len(names) > 2 or names[-1] == "others":
        return f"{names[0]} et al."
    return " & ".join(names)


def _tex(text: str) -> str:
    return re.sub(r"([&%_#$])", r"\\\1", text)


WORKS: tuple[Citation, ...] = (
    Citation(
        key="wolf2018", authors="Wolf, F. A. and Angerer, P. and Theis, F. J.", year=2018,
        title="SCANPY: large-scale single-cell gene expression data analysis", where="Genome Biology 19, 15",
        doi="10.1186/s13059-017-1382-0",
    ),
    Citation(
        key="virshup2024", authors="Virshup, I. and Rybakov, S. and Theis, F. J. and Angerer, P. and Wolf, F. A.",
        year=2024, title="anndata: Access and store annotated data matrices",
        where="Journal of Open Source Software 9, 4371", doi="10.21105/joss.04371",
    ),
    Citation(
        key="theodoris2023", authors="Theodoris, C. V. and Xiao, L. and Chopra, A. and others", year=2023,
        title="Transfer learning enables predictions in network biology", where="Nature 618, 616-624",
        doi="10.1038/s41586-023-06139-9",
    ),
    Citation(
        key="satija2015", authors="Satija, R. and Farrell, J. A. and Gennert, D. and Schier, A. F. and Regev, A.",
        year=2015, title="Spatial reconstruction of single-cell gene expression data",
        where="Nature Biotechnology 33, 495-502", doi="10.1038/nbt.3192",
    ),
    Citation(
        key="mcinnes2018", authors="McInnes, L. and Healy, J. and Melville, J.", year=2018,
        title="UMAP: Uniform Manifold Approximation and Projection for dimension reduction", where="arXiv 1802.03426",
        doi="10.48550/arXiv.1802.03426",
    ),
    Citation(
        key="kobak2021", authors="Kobak, D. and Linderman, G. C.", year=2021,
        title="Initialization is critical for preserving global data structure in both t-SNE and UMAP",
        where="Nature Biotechnology 39, 156-157", doi="10.1038/s41587-020-00809-z",
    ),
    Citation(
        key="maaten2014", authors="van der Maaten, L.", year=2014,
        title="Accelerating t-SNE using tree-based algorithms",
        where="Journal of Machine Learning Research 15, 3221-3245",
        url="https://jmlr.org/papers/v15/vandermaaten14a.html",
    ),
    Citation(
        key="kobak2019", authors="Kobak, D. and Berens, P.", year=2019,
        title="The art of using t-SNE for single-cell transcriptomics", where="Nature Communications 10, 5416",
        doi="10.1038/s41467-019-13056-x",
    ),
    Citation(
        key="traag2019", authors="Traag, V. A. and Waltman, L. and van Eck, N. J.", year=2019,
        title="From Louvain to Leiden: guaranteeing well-connected communities", where="Scientific Reports 9, 5233",
        doi="10.1038/s41598-019-41695-z",
    ),
    Citation(
        key="wolock2019", authors="Wolock, S. L. and Lopez, R. and Klein, A. M.", year=2019,
        title="Scrublet: computational identification of cell doublets in single-cell transcriptomic data",
        where="Cell Systems 8, 281-291", doi="10.1016/j.cels.2018.11.005",
    ),
    Citation(
        key="wilcoxon1945", authors="Wilcoxon, F.", year=1945, title="Individual comparisons by ranking methods",
        where="Biometrics Bulletin 1, 80-83", doi="10.2307/3001968",
    ),
    Citation(
        key="welch1947", authors="Welch, B. L.", year=1947,
        title="The generalization of Student's problem when several different population variances are involved",
        where="Biometrika 34, 28-35", doi="10.1093/biomet/34.1-2.28",
    ),
    Citation(
        key="benjamini1995", authors="Benjamini, Y. and Hochberg, Y.", year=1995,
        title="Controlling the false discovery rate: a practical and powerful approach to multiple testing",
        where="Journal of the Royal Statistical Society B 57, 289-300", doi="10.1111/j.2517-6161.1995.tb02031.x",
    ),
    Citation(
        key="squair2021", authors="Squair, J. W. and Gautier, M. and Kathe, C. and others", year=2021,
        title="Confronting false discoveries in single-cell differential expression",
        where="Nature Communications 12, 5692", doi="10.1038/s41467-021-25960-2",
    ),
    Citation(
        key="love2014", authors="Love, M. I. and Huber, W. and Anders, S.", year=2014,
        title="Moderated estimation of fold change and dispersion for RNA-seq data with DESeq2",
        where="Genome Biology 15, 550", doi="10.1186/s13059-014-0550-8",
    ),
    Citation(
        key="muzellec2023", authors="Muzellec, B. and Telenczuk, M. and Cabeli, V. and Andreux, M.", year=2023,
        title="PyDESeq2: a python package for bulk RNA-seq differential expression analysis",
        where="Bioinformatics 39, btad547", doi="10.1093/bioinformatics/btad547",
    ),
    Citation(
        key="boyle2004", authors="Boyle, E. I. and Weng, S. and Gollub, J. and others", year=2004,
        title="GO::TermFinder: open source software for accessing Gene Ontology information and finding significantly "
        "enriched Gene Ontology terms", where="Bioinformatics 20, 3710-3715", doi="10.1093/bioinformatics/bth456",
    ),
    Citation(
        key="fang2023", authors="Fang, Z. and Liu, X. and Peltz, G.", year=2023,
        title="GSEApy: a comprehensive package for performing gene set enrichment analysis in Python",
        where="Bioinformatics 39, btac757", doi="10.1093/bioinformatics/btac757",
    ),
    Citation(
        key="phipson2010", authors="Phipson, B. and Smyth, G. K.", year=2010,
        title="Permutation P-values should never be zero: calculating exact P-values when permutations are randomly "
        "drawn", where="Statistical Applications in Genetics and Molecular Biology 9, 39",
        doi="10.2202/1544-6115.1585",
    ),
    Citation(
        key="ahlmann2025", authors="Ahlmann-Eltze, C. and Huber, W. and Anders, S.", year=2025,
        title="Deep-learning-based gene perturbation effect prediction does not yet outperform simple linear baselines",
        where="Nature Methods 22, 1657-1661", doi="10.1038/s41592-025-02772-6",
    ),
    Citation(
        key="dominguez2022", authors="Dominguez Conde, C. and Xu, C. and Jarvis, L. B. and others", year=2022,
        title="Cross-tissue immune cell analysis reveals tissue-specific features in humans",
        where="Science 376, eabl5197", doi="10.1126/science.abl5197",
    ),
    Citation(
        key="xu2023", authors="Xu, C. and Prete, M. and Webb, S. and others", year=2023,
        title="Automatic cell-type harmonization and integration across Human Cell Atlas datasets",
        where="Cell 186, 5876-5891", doi="10.1016/j.cell.2023.11.026",
    ),
    Citation(
        key="tirosh2016", authors="Tirosh, I. and Izar, B. and Prakadan, S. M. and others", year=2016,
        title="Dissecting the multicellular ecosystem of metastatic melanoma by single-cell RNA-seq",
        where="Science 352, 189-196", doi="10.1126/science.aad0501",
    ),
    Citation(
        key="subramanian2005", authors="Subramanian, A. and Tamayo, P. and Mootha, V. K. and others", year=2005,
        title="Gene set enrichment analysis: a knowledge-based approach for interpreting genome-wide expression "
        "profiles", where="Proceedings of the National Academy of Sciences 102, 15545-15550",
        doi="10.1073/pnas.0506580102",
    ),
    Citation(
        key="wu2012", authors="Wu, D. and Smyth, G. K.", year=2012,
        title="Camera: a competitive gene set test accounting for inter-gene correlation",
        where="Nucleic Acids Research 40, e133", doi="10.1093/nar/gks461",
    ),
    Citation(
        key="rubin1981", authors="Rubin, D. B.", year=1981, title="The Bayesian bootstrap",
        where="Annals of Statistics 9, 130-134", doi="10.1214/aos/1176345338",
    ),
    Citation(
        key="woolf1955", authors="Woolf, B.", year=1955,
        title="On estimating the relation between blood group and disease",
        where="Annals of Human Genetics 19, 251-253",
        doi="10.1111/j.1469-1809.1955.tb01348.x",
    ),
    Citation(
        key="mantel1959", authors="Mantel, N. and Haenszel, W.", year=1959,
        title="Statistical aspects of the analysis of data from retrospective studies of disease",
        where="Journal of the National Cancer Institute 22, 719-748", doi="10.1093/jnci/22.4.719",
    ),
    Citation(
        key="lee2009", authors="Lee, J. A. and Verleysen, M.", year=2009,
        title="Quality assessment of dimensionality reduction: rank-based criteria",
        where="Neurocomputing 72, 1431-1443",
        doi="10.1016/j.neucom.2008.12.017",
    ),
    Citation(
        key="cover1967", authors="Cover, T. and Hart, P.", year=1967, title="Nearest neighbor pattern classification",
        where="IEEE Transactions on Information Theory 13, 21-27", doi="10.1109/TIT.1967.1053964",
    ),
    Citation(
        key="lotfollahi2022", authors="Lotfollahi, M. and Naghipourfar, M. and Luecken, M. D. and others", year=2022,
        title="Mapping single-cell data to reference atlases by transfer learning",
        where="Nature Biotechnology 40, 121-130", doi="10.1038/s41587-021-01001-7",
    ),
    Citation(
        key="korsunsky2019", authors="Korsunsky, I. and Millard, N. and Fan, J. and others", year=2019,
        title="Fast, sensitive and accurate integration of single-cell data with Harmony",
        where="Nature Methods 16, 1289-1296", doi="10.1038/s41592-019-0619-0",
    ),
    Citation(
        key="johnson2007", authors="Johnson, W. E. and Li, C. and Rabinovic, A.", year=2007,
        title="Adjusting batch effects in microarray expression data using empirical Bayes methods",
        where="Biostatistics 8, 118-127", doi="10.1093/biostatistics/kxj037",
    ),
    Citation(
        key="lopez2018", authors="Lopez, R. and Regier, J. and Cole, M. B. and Jordan, M. I. and Yosef, N.", year=2018,
        title="Deep generative modeling for single-cell transcriptomics", where="Nature Methods 15, 1053-1058",
        doi="10.1038/s41592-018-0229-2",
    ),
    Citation(
        key="gayoso2022", authors="Gayoso, A. and Lopez, R. and Xing, G. and others", year=2022,
        title="A Python library for probabilistic analysis of single-cell omics data",
        where="Nature Biotechnology 40, 163-166", doi="10.1038/s41587-021-01206-w",
    ),
    Citation(
        key="kedzierska2025", authors="Kedzierska, K. Z. and Crawford, L. and Amini, A. P. and Lu, A. X.", year=2025,
        title="Zero-shot evaluation reveals limitations of single-cell foundation models",
        where="Genome Biology 26, 101", doi="10.1186/s13059-025-03574-x",
    ),
    Citation(
        key="luecken2022", authors="Luecken, M. D. and Büttner, M. and Chaichoompu, K. and others", year=2022,
        title="Benchmarking atlas-level data integration in single-cell genomics", where="Nature Methods 19, 41-50",
        doi="10.1038/s41592-021-01336-8",
    ),
)  # fmt: skip
